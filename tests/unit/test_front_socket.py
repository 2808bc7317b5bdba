"""The agents' proxy listens wherever TMPDIR is: the path of a socket has 107 characters at most."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path

import pytest

from evolve.agents.front_process import Front


@pytest.mark.parametrize("length", [1, 24, 120, 250])
def test_a_long_path_is_no_fault(tmp_path: Path, length: int) -> None:
    folder = tmp_path / ("x" * length)
    folder.mkdir()
    path = folder / "proxy.sock"

    async def listen() -> None:
        front = await Front.start()
        try:
            await front.open(path)
            assert stat.S_ISSOCK(path.stat().st_mode)
            (folder.parent / "s").symlink_to(folder)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(folder.parent / "s" / "proxy.sock"))
        finally:
            await front.close()

    asyncio.run(listen())
