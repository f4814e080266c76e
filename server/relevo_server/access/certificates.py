"""Client certificates: the names that a connection has proven, and whose they are.

gRPC has verified the certificate against `tls_client_ca` before any call arrives.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from relevo_server.access.callers import Caller, caller_of
from relevo_server.identities import Principal

AuthContext = Mapping[str, Iterable[bytes]]
_URI, _DNS = "peer_uri", "peer_dns"
"""gRPC's names of a peer's properties: `grpc_security_constants.h`."""


class _Name(NamedTuple):
    kind: str
    """The property: a DNS name that looks like a URI is none."""
    text: str


class Certificates:
    """Finds callers by the subject alternative names of their certificates."""

    def __init__(self, principals: Iterable[Principal]) -> None:
        self._by_name = {
            _Name(_URI if "://" in each.certificate else _DNS, each.certificate): caller_of(each)
            for each in principals
            if each.certificate
        }

    def __bool__(self) -> bool:
        """Whether any principal has a certificate."""
        return bool(self._by_name)

    def caller(self, auth_context: AuthContext) -> Caller | None:
        """The caller whose certificate a connection has shown.

        None if it has shown none, or one that stands for nobody or for several principals.
        """
        found = {
            caller.name: caller
            for name in _names(auth_context)
            if (caller := self._by_name.get(name))
        }
        return next(iter(found.values())) if len(found) == 1 else None


def _names(auth_context: AuthContext) -> Iterator[_Name]:
    """The names: the only URI, and the DNS names in lower case.

    A certificate with several URIs is no SPIFFE id, by section 2 of the X.509-SVID standard.
    """
    uris = list(auth_context.get(_URI, ()))
    if len(uris) == 1:
        yield _Name(_URI, uris[0].decode(errors="replace"))
    for name in auth_context.get(_DNS, ()):
        yield _Name(_DNS, name.decode(errors="replace").lower())
