"""Nooble: a platform of six services that talk through HTTP, WebSockets, queues and gRPC.

Its services do the same work in three modes, which differ in where they have the agents'
configuration from: `relevo demo --platform` measures what that changes.
"""
