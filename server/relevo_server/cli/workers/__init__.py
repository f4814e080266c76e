"""`relevo serve --workers`: processes that share a port, and the supervisor of them.

The supervisor loads no gRPC and answers no call. It starts workers, replaces those that die, hands
them changed settings, adds up their metrics, and ends them in order.
"""
