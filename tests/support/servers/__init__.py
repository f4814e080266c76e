"""Servers for tests: the store's, services that use it, and storage backends."""
