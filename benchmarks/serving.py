"""Runs the servers under load."""

from grpc import aio


async def serve_until_ended(server: aio.Server) -> None:
    """Serve on a free port, which is printed, until the process is killed."""
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()
