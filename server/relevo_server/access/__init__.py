"""Who calls, and what this caller may do."""
