"""Targets of gRPC on this host: a secret may go to them without TLS."""

from ipaddress import ip_address


def is_local(target: str) -> bool:
    """Whether all addresses of a gRPC target are of this host: loopback, or a UNIX socket.

    Of names, only `localhost` is local: what another one resolves to may change. A form of
    target that is not known here is not local.
    """
    scheme, colon, rest = target.partition(":")
    if colon and scheme in ("unix", "unix-abstract"):
        return True
    if scheme == "dns":
        rest = rest.rpartition("/")[2]  # dns://resolver/host:port, dns:///host:port, dns:host:port
        return _is_loopback(_host(rest))
    if scheme in ("ipv4", "ipv6"):
        return all(_is_loopback(_host(address)) for address in rest.split(","))
    return _is_loopback(_host(target))


def _host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, colon, port = address.rpartition(":")
    return host if colon and port.isdecimal() and ":" not in host else address


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
