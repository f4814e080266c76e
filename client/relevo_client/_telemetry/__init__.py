"""Metrics and spans of a process's clients. Uses only OpenTelemetry's API."""
