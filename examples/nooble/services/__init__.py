"""The services. Each runs as its own process: `python -m nooble.services.NAME`."""
