"""A listening socket for a small HTTP server."""

import socket


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Open a listening socket.

    Accepted connections send at once: an answer with its head and body written
    separately would otherwise wait 40 ms for the delayed acknowledgement of the other
    side.

    Args:
        host: IPv4 or IPv6 address
        port: 0 for a free port

    Returns:
        The socket.

    Raises:
        OSError: the port is in use or not allowed
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=128)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
