"""The two clients, and what creates the entries that are missing."""
