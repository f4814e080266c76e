"""What Relevo's pages share: their look, their security, their live parts and their server.

Pages are rendered on the server; they need no host but the one that serves them.
"""
