"""The Redis backend: a server, a master that Sentinels name, or a Cluster."""
