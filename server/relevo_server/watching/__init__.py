"""The Watch of the service: what its streams ask of the logs, and are told."""
