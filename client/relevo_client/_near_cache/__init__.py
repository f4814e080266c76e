"""The near cache: entries kept in the process, and kept current by a Watch stream."""
