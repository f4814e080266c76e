"""Prometheus and its tools, for the rules and dashboards in `deploy`."""
