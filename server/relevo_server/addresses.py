"""Addresses to listen on."""

from ipaddress import IPv6Address, ip_address


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


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= 65535
