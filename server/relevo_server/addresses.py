"""Addresses to listen on, and addresses of stores."""

from ipaddress import IPv6Address, ip_address
from pathlib import Path

STORE_SCHEMES = (
    *("memory", "redis", "rediss", "unix"),
    *("redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"),
)
_FILE = "file://"


def address(value: str) -> str:
    """An address to listen on, as settings have it. Raises ValueError."""
    host, _, port = value.rpartition(":")
    if not (value.startswith("unix:") or (host and _is_port(port))):
        raise ValueError("must be an address and a port, such as 127.0.0.1:7390")
    return value


def is_local(listen: str) -> bool:
    """Whether only processes of this host can reach an address to listen on."""
    if listen.startswith("unix:"):
        return True
    host = listen.rpartition(":")[0].strip("[]")
    try:
        number = ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = number.ipv4_mapped if isinstance(number, IPv6Address) else None
    return (mapped or number).is_loopback


def metrics_address(value: str) -> str:
    """An address at which metrics can be served: TCP only. Raises ValueError."""
    _, colon, port = value.rpartition(":")
    if value.startswith("unix:") or not (colon and _is_port(port)):
        raise ValueError(
            "must be an address and a TCP port, such as 127.0.0.1:9464, or :9464 for all interfaces"
        )
    return value


def store_url(value: str) -> str:
    """The URL of a store, as settings have it: `value`, or the content of the file that it names.

    Raises ValueError, which does not quote the URL.
    """
    is_file = value.startswith(_FILE)
    url = _content(Path(value.removeprefix(_FILE))) if is_file else value
    if url.partition("://")[0] not in STORE_SCHEMES:
        schemes = ", ".join(f"{name}://" for name in STORE_SCHEMES)
        raise ValueError(
            f"{'the content of the file ' if is_file else ''}must begin with {schemes}"
        )
    return url


def _content(file: Path) -> str:
    """The text of a file with one secret."""
    if not file.is_absolute():
        raise ValueError("the URL of a file has three slashes, as file:///run/secrets/relevo-store")
    try:
        return file.read_text("utf-8").strip()
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}") from None
    except UnicodeError:
        raise ValueError(f"{file}: is not UTF-8") from None


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= 65535
