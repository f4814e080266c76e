"""Hints for failed connections: the likely causes of gRPC's error texts."""

_MEANINGS = {
    "WRONG_VERSION_NUMBER": "the server does not speak TLS, and the client does (`ca` or "
    "`credentials`)",
    "CERTIFICATE_VERIFY_FAILED": "`ca` or `credentials` do not trust the server's certificate",
    "Hostname Verification Check failed": "the server's certificate does not name this host",
    "Failed parsing HTTP/2": "what listens there does not speak gRPC",
    "Socket closed": "the server closed the connection at once, as one does that speaks TLS "
    "(`ca` or `credentials`) or wants a client's certificate (`cert` and `key`)",
}
_NEVER_CONNECTED = "failed to connect"


def explained(details: str) -> str:
    """A failed call's details; if no connection could be made, preceded by the likely cause."""
    if details.startswith(_NEVER_CONNECTED):
        for words, meaning in _MEANINGS.items():
            if words in details:
                return f"{meaning}: {details}"
    return details
