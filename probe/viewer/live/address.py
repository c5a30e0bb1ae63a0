"""The address of a live page: which machine may be called by which names, and a free port."""

import errno
import socket
from ipaddress import ip_address

LOOPBACK = "127.0.0.1"
"""The address that only this machine can reach."""

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Names by which a machine calls itself, as they are written in addresses. No other page can have
one of them, so that a request for them was meant for this machine."""

LARGEST_PORT = 65_535


def open_socket(host: str, port: int) -> socket.socket:
    """Take an address, at which nobody is answered yet.

    Args:
        host: A name or address of this machine.
        port: The port; 0 for any that is free.

    Raises:
        ValueError: if the port is in use, or there is no such address on this machine.
    """
    if not 0 <= port <= LARGEST_PORT:
        raise ValueError(f"--port is {port}; give a number from 0, for any free one, to 65535")
    _check_host(host)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        taken = socket.socket(family, kind, protocol)
        # A port whose last program has just ended counts as free; one in use does not.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen()
    except OSError as failure:
        raise ValueError(_explain(host, port, failure)) from failure
    return taken


def _check_host(host: str) -> None:
    try:
        everywhere = ip_address(host).is_unspecified
    except ValueError:  # a name
        everywhere = not host
    if everywhere:
        # The name by which a browser calls is checked, and nobody calls a machine by this one.
        raise ValueError(
            f"--host {host!r} is no name of this machine; give the one name or address by which it "
            f"is called"
        )


def _explain(host: str, port: int, failure: OSError) -> str:
    if failure.errno == errno.EADDRINUSE:
        return f"port {port} is in use; give another with --port, or 0 for any that is free"
    if failure.errno == errno.EACCES:
        return f"port {port} is not for everybody; give one from 1024 with --port"
    return f"--host {host}: not an address of this machine ({failure.strerror or failure})"


def write_host(host: str) -> str:
    """Write a host as addresses have it: an IPv6 address in brackets.

    >>> write_host("::1"), write_host("localhost")
    ('[::1]', 'localhost')
    """
    return f"[{host}]" if ":" in host else host


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def list_names(host: str) -> frozenset[str]:
    """List the names by which a server at this host may be called."""
    return LOOPBACK_NAMES if is_loopback(host) else frozenset({write_host(host).lower()})
