"""The calls of the store: requests, responses, channels."""
