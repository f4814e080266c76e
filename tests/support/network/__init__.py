"""The network between processes: ports, certificates, a proxy that fails on request."""
