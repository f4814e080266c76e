"""A channel that counts its unary calls, so that the run can say how often the store was asked."""

from typing import Any, cast

from grpc import aio


class CountedChannel:
    """A channel of gRPC's, and how many unary calls were begun on it."""

    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        """Everything else is the channel's own."""
        return getattr(self._channel, name)

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """A method whose calls are counted."""
        method = self._channel.unary_unary(*arguments, **options)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            return method(*arguments, **options)

        return counted

    def as_channel(self) -> aio.Channel:
        """The same, for who asks for a channel."""
        return cast("aio.Channel", self)
