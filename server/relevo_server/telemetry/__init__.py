"""What can be seen of a server: counts, durations, spans, and what exports them.

Without a `Telemetry` a server measures nothing. docs/observability.md lists what there is.
"""
