"""Tool chains of other languages, and the programs that tests build with them."""
