"""What pages show, made of the Admin service's messages: pure functions, without I/O."""
