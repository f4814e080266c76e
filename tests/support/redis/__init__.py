"""Redis servers: real ones, and one that answers as a test says."""
