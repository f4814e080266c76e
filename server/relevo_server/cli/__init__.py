"""`relevo serve`: the part of the command line that belongs to the server."""
