"""A real browser for tests: a headless Chromium, and what it saw and did."""
