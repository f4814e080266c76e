"""Other languages' tool chains, and what the tests make with them."""
