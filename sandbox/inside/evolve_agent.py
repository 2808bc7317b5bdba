"""Runs an agent in its box: a workspace, access to a model only, and its result.

Imported in the sandbox in place of a candidate's module. Everything here runs as the
candidate: its result is a claim. The host shows a directory, read-only, with the
agent's files and the socket of a proxy; a forwarder on loopback makes that socket an
HTTP address. Standard library only.
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
    """Return whether the host's directory is here, before any code of the agent runs.

    Returns:
        True if the agent's files and the proxy's socket are there.

    Raises:
        FileNotFoundError: The files are there, but no socket.
    """
    return os.path.isdir(AGENT) and stat.S_ISSOCK(os.stat(SOCKET).st_mode)


def imports(module: str) -> None:
    """Import the agent's entry under its module name, so that it does not start.

    Args:
        module: Name of the module.

    Raises:
        Exception: Whatever the import raises.
    """
    import importlib

    sys.path.insert(0, AGENT)
    importlib.import_module(module)


def run(entry: str, workspace: str, statement: str) -> int:
    """Run the agent's entry in the workspace to its end.

    Args:
        entry: Path of the entry, relative to the agent's files.
        workspace: Working directory of the agent, made if missing.
        statement: File with the statement of the case.

    Returns:
        Exit status of the agent.
    """
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
    # processes that it left must not change its result
    with contextlib.suppress(ProcessLookupError):
        os.killpg(agent.pid, signal.SIGKILL)
    server.close()
    return status


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward one connection to the proxy; it ends when either side does."""
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
    """Return the plain files of the workspace.

    Links, special files, `__pycache__` and `.git` are left out.

    Args:
        workspace: The directory.
        max_files: Limit on the number of files.
        max_bytes: Limit on their total size.

    Returns:
        Pairs [relative path, content], sorted within each directory.

    Raises:
        ValueError: A limit is exceeded.
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
    """Return the content, cut after one byte more than `left`."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        return file.read(left + 1)
