"""What the project says about its metrics, spans and records, as data for tests."""
