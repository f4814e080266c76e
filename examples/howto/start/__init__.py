"""The two services of the first five minutes."""
