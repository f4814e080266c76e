"""Simulated worlds: a store, servers and caches in one thread, driven by a seed."""
