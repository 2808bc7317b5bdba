"""`evolve serve` as a process, on any free port."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.cli import EVOLVE


@contextmanager
def serving(runs: Path, *options: str, token: bool = False) -> Iterator[str]:
    """The address that it prints, once it answers."""
    free = () if token or "--host" in options else ("--no-token",)
    process = subprocess.Popen(
        [EVOLVE, "serve", str(runs), "--port", "0", *free, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        _wait_for(address)
        yield address
    finally:
        process.kill()
        process.communicate()


def _wait_for(address: str) -> None:
    parts = urlsplit(address)
    for _ in range(400):
        try:
            with socket.create_connection(
                ("127.0.0.1", parts.port or 80), 5
            ) as connection:
                connection.sendall(
                    f"HEAD / HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
                )
                if connection.recv(16):
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("it does not answer")
