"""An open port for a small HTTP server."""

from __future__ import annotations

import socket


def listen(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `OSError`.

    What is accepted on it sends at once: an answer whose head and body are written apart would
    otherwise wait 40 ms for the other side's delayed acknowledgement.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=128)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
