"""What can be seen of a process's clients, by OpenTelemetry's API alone."""
