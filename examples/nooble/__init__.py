"""Nooble: a platform of six services that talk through queues, gRPC, HTTP and WebSockets."""
