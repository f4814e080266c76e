"""The four services, one module each.

Each runs as its own process: `python -m relevo_demo.services.query STORE EMBEDDING`,
with the addresses of the store and of the service that it calls.
"""

CHAIN = ("orchestrator", "execution", "query", "embedding")
"""The names of the services and their modules, in the order in which they call each other."""
