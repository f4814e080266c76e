"""The near cache: copies of entries in the client's process, kept current by a Watch stream."""
