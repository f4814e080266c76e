"""`make scale`: what thousands of Watch streams cost a server, and what they notice.

The streams are those of a load generator in Go (benchmarks/generator), which behaves as clients'
near caches do and takes a small part of the server's CPU for each.
"""
