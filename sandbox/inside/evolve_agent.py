"""Runs an agent in its box: a workspace, a way to a model and to nothing else, and what came of it.

Imported in the sandbox in place of a candidate's own module. Everything here runs as the candidate:
what it returns is a claim. The host shows a folder, read-only, with the agent's files and the socket
of a proxy; a forwarder on loopback makes that socket an HTTP address. Standard library only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
from typing import Any

SHARED = "/shared"
AGENT, SOCKET = f"{SHARED}/agent", f"{SHARED}/proxy.sock"
CHUNK = 1 << 16
_SKIPPED = ("__pycache__", ".git")


def ready() -> bool:
    """Whether the host's folder is here, asked before anything of the agent's has run."""
    return os.path.isdir(AGENT) and stat.S_ISSOCK(os.stat(SOCKET).st_mode)


def imports(module: str) -> None:
    """Import the agent's entry under its own name, so that nothing begins. Raises what it raises."""
    import importlib

    sys.path.insert(0, AGENT)
    importlib.import_module(module)


def run(entry: str, workspace: str, statement: str) -> int:
    """Run the agent's entry in the workspace to its end; returns its exit status."""
    return asyncio.run(
        _run(entry, os.path.abspath(workspace), os.path.abspath(statement))
    )


async def _run(entry: str, workspace: str, statement: str) -> int:
    os.makedirs(workspace, exist_ok=True)
    server = await asyncio.start_server(_forward, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "OPENAI_API_KEY": "proxy",
        "EVOLVE_STATEMENT": statement,
        "HOME": os.getcwd(),
    }
    agent = await asyncio.create_subprocess_exec(
        sys.executable,
        f"{AGENT}/{entry}",
        cwd=workspace,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    status = await agent.wait()
    # what it left running must not change its result
    with contextlib.suppress(ProcessLookupError):
        os.killpg(agent.pid, signal.SIGKILL)
    server.close()
    return status


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection to the proxy; it ends when either side does."""
    try:
        out, into = await asyncio.open_unix_connection(SOCKET)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_copy(reader, into), _copy(out, writer))


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
    target.close()


def collect(workspace: str, max_files: int, max_bytes: int) -> list[list[Any]]:
    """The plain files of the workspace: [path, content]. Links and special files are left out.

    Raises `ValueError` past a limit.
    """
    found: list[list[Any]] = []
    left = max_bytes
    for folder, names, files in os.walk(workspace):  # does not follow links
        names[:] = sorted(name for name in names if name not in _SKIPPED)
        for name in sorted(files):
            path = os.path.join(folder, name)
            if not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            data = _content(path, left)
            left -= len(data)
            found.append([os.path.relpath(path, workspace), data])
            if len(found) > max_files or left < 0:
                raise ValueError(
                    f"the workspace holds more than {max_files:,} files or "
                    f"{max_bytes:,} bytes"
                )
    return found


def _content(path: str, left: int) -> bytes:
    """At most one byte more than what is left."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        return file.read(left + 1)
