"""Encrypts values before a backend has them. Needs the extra `encryption`."""
