"""The platform's page: chat with an agent, see each turn's way, change settings, break things.

`relevo demo --platform --serve` runs it.
"""
