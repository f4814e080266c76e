"""Propagation: interceptors and channels that carry a context reference from call to call."""
