"""A store with TLS and principals, and a service that shows who it is."""
