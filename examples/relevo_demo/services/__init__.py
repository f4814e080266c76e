"""The four services, one module each.

Each is a process of its own: `python -m relevo_demo.services.query STORE EMBEDDING`,
with the addresses of the store and of the service that it calls.
"""

CHAIN = ("orchestrator", "execution", "query", "embedding")
"""The services in the order in which they call each other. Also the names of their modules."""
