"""Platforms of several services for tests, with and without Relevo."""
