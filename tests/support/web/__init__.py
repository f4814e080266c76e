"""A small site that has all that Relevo's pages share."""
