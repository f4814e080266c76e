"""Contexts, keys, entries, errors and deadlines: the base of the whole client, without I/O."""
