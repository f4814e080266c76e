"""Bytes and messages to typed requests, and entries to answers."""
