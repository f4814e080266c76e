"""A probe of a live store: writes canaries, and checks what near caches and servers show."""
