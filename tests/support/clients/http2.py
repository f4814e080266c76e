"""A client that speaks HTTP/2 by itself, so that it can do what no client of gRPC does."""

import socket
import struct
from collections.abc import Iterator
from typing import Any, Self

import h2.config
import h2.connection
import h2.events

_CHUNK = 1 << 16


class Http2:
    """One connection to a server at 127.0.0.1. Use with `with`. It reads only if it is told to."""

    def __init__(self, port: int) -> None:
        self._port = port
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self._connection: Any = h2.connection.H2Connection(config)
        self.ended: dict[int, str] = {}
        """The gRPC status, or `reset`, of each stream that has ended, as far as it was read."""
        self.is_closed = False
        """Whether the server has closed the connection."""
        self._is_settled = False
        self._begun = 0

    def __enter__(self) -> Self:
        self._socket = socket.create_connection(("127.0.0.1", self._port))
        self._connection.initiate_connection()
        self._flush()
        self.read(10, until=lambda: self._is_settled)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def open(self) -> int:
        """The number of streams that have not ended, as far as it was read."""
        return self._begun - len(self.ended)

    def read_until_ended(self, *streams: int) -> None:
        """Read until these streams have ended, for 20 s at most."""
        self.read(20, until=lambda: self.ended.keys() >= set(streams))

    @property
    def max_streams(self) -> int:
        """The most streams that the server lets this connection have at a time."""
        most: int = self._connection.remote_settings.max_concurrent_streams
        return most

    def call(self, method: str, message: bytes | None = None, *, token: str = "") -> int:
        """Begin a call, and end its side of the stream if it has a message.

        Returns the number of its stream. The message has to fit into the stream's window.
        """
        stream: int = self._connection.get_next_available_stream_id()
        headers = [
            *((":method", "POST"), (":scheme", "http"), (":path", method)),
            *((":authority", "localhost"), ("te", "trailers")),
            ("content-type", "application/grpc"),
        ]
        if token:
            headers.append(("authorization", f"Bearer {token}"))
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        self._connection.send_headers(stream, encoded)
        self._begun += 1
        if message is not None:
            self._connection.send_data(stream, framed(message), end_stream=True)
        self._flush()
        return stream

    def push(self, stream: int, data: bytes) -> int:
        """Send as many bytes as the server takes within a while. Returns their number."""
        sent = 0
        while sent < len(data) and stream not in self.ended and not self.is_closed:
            window = self._connection.local_flow_control_window(stream)
            some = data[sent : sent + min(window, self._connection.max_outbound_frame_size)]
            if some:
                self._connection.send_data(stream, some)
                self._flush()
                sent += len(some)
            else:
                self.read(1, until=lambda: self._has_window(stream))
                if not self._has_window(stream):
                    break
        return sent

    def _has_window(self, stream: int) -> bool:
        return stream in self.ended or self._connection.local_flow_control_window(stream) > 0

    def reset(self, stream: int) -> None:
        """End a stream at once."""
        self._connection.reset_stream(stream)
        self._flush()

    def read(self, seconds: float, *, until: Any = None) -> None:
        """Read what comes within so many seconds, or until a condition holds.

        The windows of flow control are not renewed.
        """
        self._socket.settimeout(seconds)
        try:
            while not (until and until()):
                data = self._socket.recv(_CHUNK)
                if not data:
                    self.is_closed = True
                    return
                for event in self._connection.receive_data(data):
                    self._note(event)
                self._flush()
        except TimeoutError:
            pass
        except ConnectionError:
            self.is_closed = True

    def _note(self, event: Any) -> None:
        if isinstance(event, h2.events.TrailersReceived | h2.events.ResponseReceived):
            for name, value in _pairs(event.headers):
                if name == "grpc-status":
                    self.ended[event.stream_id] = value
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self._is_settled = True
        elif isinstance(event, h2.events.StreamReset):
            self.ended.setdefault(event.stream_id, "reset")
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.is_closed = True

    def _flush(self) -> None:
        try:
            self._socket.sendall(self._connection.data_to_send())
        except (ConnectionError, TimeoutError):
            self.is_closed = True


def framed(message: bytes) -> bytes:
    """A message as gRPC sends it."""
    return struct.pack(">BI", 0, len(message)) + message


def _pairs(headers: Any) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        yield name.decode("latin-1"), value.decode("latin-1")
