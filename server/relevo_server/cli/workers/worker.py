"""The program of one worker: `python -m relevo_server.cli.workers.worker FD`.

FD is its end of the connection to the supervisor, which first says who it is.
"""

import os
import signal
import socket
import sys
from contextlib import suppress

from relevo_server import logs
from relevo_server.cli.workers import channel
from relevo_server.cli.workers.handover import Handover


def main(descriptor: int) -> int:
    """Serve until SIGTERM, or the end of the supervisor. Returns the exit code."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # they are for the supervisor
    with socket.socket(fileno=descriptor) as end:
        given = channel.receive(end)
        if given is None:
            return 1  # the supervisor is gone
        handover = Handover.unpacked(given)
        settings = handover.settings
        logs.configure(settings.log_level, settings.log_format, handover.worker.number)
        if settings.log_format == "json":
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # as for a server of one process
        from relevo_server.cli.workers import serving  # noqa: PLC0415 - it loads gRPC

        ended = serving.run(handover, end)
        if ended.problems:
            with suppress(OSError):
                channel.send(end, {"problems": ended.problems})
        return ended.code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
