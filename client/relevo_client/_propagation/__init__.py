"""How a call gets its context."""
