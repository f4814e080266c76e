"""Nooble: a platform of six services that talk through HTTP, WebSockets, queues and gRPC.

Its services do the same work in three modes, which differ in the source of the agents'
configuration. `relevo demo --platform` measures the difference.
"""
