"""A channel that counts its unary calls, for the number of calls to the store in a run."""

from typing import Any, cast

from grpc import aio


class CountedChannel:
    """A gRPC channel with the number of unary calls that were started on it."""

    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the channel."""
        return getattr(self._channel, name)

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """Create a method whose calls are counted."""
        method = self._channel.unary_unary(*arguments, **options)

        def counted(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            return method(*arguments, **options)

        return counted

    def as_channel(self) -> aio.Channel:
        """Return this object, typed as a channel."""
        return cast("aio.Channel", self)
