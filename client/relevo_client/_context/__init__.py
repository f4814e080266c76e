"""What a context is: its names, values and digests. No I/O."""
