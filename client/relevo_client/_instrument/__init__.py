"""One line of wiring: `instrument` gives the libraries of a process their contexts."""
