"""The wire contract: bytes to typed requests, and entries and errors to responses."""
