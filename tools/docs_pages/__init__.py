"""The pages of the documentation site that are made of code, and what its build does to others."""
