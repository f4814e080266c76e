"""Redis servers that speak TLS: themselves if they are built with it, else behind a proxy."""

import ssl
import subprocess
from functools import cache
from typing import Self
from urllib.parse import urlencode

from nooble.redis_binary import binary

from support.network.certificates import Pair
from support.network.proxy import Proxy
from support.redis.client import RedisClient
from support.redis.process import RedisProcess


@cache
def is_built_with_tls() -> bool:
    """Whether the Redis of the tests is built with TLS."""
    words = [binary(), "--port", "0", "--tls-port", "1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=10)
    return (
        "No tls-" in done.stdout
    )  # "No tls-cert-file configured!"; other builds do not know the option


class TlsRedisProcess(RedisProcess):
    """A Redis that speaks only TLS, also with its peers in a Cluster or under Sentinels.

    It presents `pair`, and trusts certificates of `authority`. `url` has the matching options.
    """

    def __init__(
        self, pair: Pair, authority: Pair, *options: str, bus: int = 0, config: str = ""
    ) -> None:
        super().__init__(*options, bus=bus, config=config)
        self.url = url_of(self.port, authority)
        self._options += (
            *("--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"),
            *("--tls-replication", "yes", "--tls-ca-cert-file", str(authority.certificate)),
            *("--tls-cert-file", str(pair.certificate), "--tls-key-file", str(pair.key)),
        )


class ProxiedRedisProcess(RedisProcess):
    """A Redis without TLS behind a proxy with TLS, whose port its peers announce."""

    def __init__(self, pair: Pair, authority: Pair, *options: str, bus: int = 0) -> None:
        super().__init__(*options, bus=bus)
        self._plain = self.url
        self._bus = self.port + bus
        self._authority = authority
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(pair.certificate, pair.key)
        self._proxy = Proxy(self.port, tls=tls)

    def __enter__(self) -> Self:
        self._proxy.__enter__()
        self.url = url_of(self._proxy.port, self._authority)
        self._options += (
            *("--cluster-announce-port", str(self._proxy.port)),
            *("--cluster-announce-bus-port", str(self._bus)),
        )
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._proxy.__exit__()

    def client(self) -> RedisClient:
        """A client for the tests, without TLS."""
        return RedisClient(self._plain)


def url_of(port: int, authority: Pair) -> str:
    """The URL of a Redis on this host with a certificate of an authority."""
    return f"rediss://127.0.0.1:{port}?{urlencode({'ssl_ca_certs': authority.certificate})}"
