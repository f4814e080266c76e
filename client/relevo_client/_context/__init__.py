"""Contexts and what all of the client stands on: entries, digests, deadlines. No calls."""
