"""Platforms of several services, with and without Relevo."""
