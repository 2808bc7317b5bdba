"""A box that is a child process of the engine, with packets on its standard streams."""

import asyncio
import contextlib
import os
import signal
from typing import Self, TypeVar

import psutil

from evolve.sandbox.errors import ProviderFault, SandboxError
from evolve.sandbox.packets import PacketStream
from evolve.sandbox.provider import Box

START_PATIENCE_S = 30.0


class ProcessBox(Box):
    """A separate process group; killing the group ends the box.

    Args:
        process: Started with pipes on its standard streams and in a new session.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.process = process
        self.packets = PacketStream(process.stdout, process.stdin)

    def kill_tree(self) -> None:
        """Kill the process group and every descendant now.

        The server goes first: it must not report the end of its candidate as a fault of
        the candidate.
        """
        family: list[psutil.Process] = []
        # without descriptors /proc can't be read: then the kernel ends them with the group
        with contextlib.suppress(psutil.Error, OSError):
            family = psutil.Process(self.process.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    async def kill(self) -> None:
        """Kill all processes, close the writing side and wait for the server's end."""
        self.kill_tree()
        self.packets.close()
        await self.process.wait()

    async def explain_death(self) -> SandboxError:
        """Return a `ProviderFault` with the end of the server's standard error."""
        return ProviderFault(f"the sandbox process is gone: {await self.last_words()}")

    async def last_words(self) -> str:
        """Wait for the server's end and describe it.

        Returns:
            The end of its standard error, and its exit status.
        """
        stderr = self.process.stderr
        assert stderr is not None
        status = await self.process.wait()
        text = (await stderr.read(1 << 16)).decode(errors="replace").strip()
        return f"{text[-500:]} (status {status})".strip()

    async def wait_until_ready(self) -> Self:
        """Wait for the server's first packet.

        Returns:
            This box.

        Raises:
            ProviderFault: The server exited, or was not ready within 30 seconds.
        """
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                packet = await self.packets.receive()
        except TimeoutError:
            await self.kill()
            raise ProviderFault(
                f"a sandbox was not ready in {START_PATIENCE_S:g} s"
            ) from None
        if packet is None or packet.kind != b"R":
            words = await self.last_words()
            raise ProviderFault(
                f"a sandbox did not start: {words}", "run: evolve doctor"
            )
        return self


_B = TypeVar("_B", bound=ProcessBox)


async def spawn_box(
    kind: type[_B],
    command: list[str],
    environment: dict[str, str],
    pass_fds: tuple[int, ...] = (),
) -> _B:
    """Start a command as a box and wait until its server is ready.

    Args:
        kind: Class of the box.
        command: Program and arguments.
        environment: The whole environment of the command.
        pass_fds: Descriptors that the command inherits.

    Returns:
        The box.

    Raises:
        ProviderFault: The command did not start.
    """
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=environment,
            start_new_session=True,
            limit=1 << 20,
            pass_fds=pass_fds,
        )
    except OSError as error:
        raise ProviderFault(f"can't start {command[0]}: {error}") from None
    return await kind(process).wait_until_ready()
