"""Redis servers: real ones, and a fake with scripted answers."""
