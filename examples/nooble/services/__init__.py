"""The services: each a process of its own, `python -m nooble.services.NAME`."""
