"""The rings of tests: which test is in which, and what keeps the quick one quick."""
