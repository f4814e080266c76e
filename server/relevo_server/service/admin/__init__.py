"""The Admin service: what operators ask."""
