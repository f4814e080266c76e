"""The Redis backend: one server, the master that Sentinels name, or a Cluster."""
