"""Commands that an evaluator starts itself, such as a compiler: they run in a separate box.

Neither the scorer nor the candidate is in it. Copies of files go in; output, status and files
come back as data.
"""

from collections.abc import Mapping
from typing import Any

from evolve.sandbox import CandidateFault, Pool, Provider, Reason, Reply
from evolve.sandbox.inside import wire


class Tools:
    """Runs commands, each in a fresh candidate of another box.

    Args:
        provider: A prepared provider.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._pool = Pool(provider, 1, closes_provider=False)

    async def run(self, header: Mapping[str, Any], payload: bytes) -> Reply:
        """Run a command.

        Args:
            header: `argv`, `folder` where it runs, and `timeout_s`.
            payload: Encoded files (path -> content, executable) and standard input.

        Returns:
            Status; encoded stdout, stderr and files (path -> content, executable).

        Raises:
            CandidateFault: It printed too much or took too long, or this sandbox does not
                isolate.
            ProviderFault: The machine failed.
        """
        argv, folder = header["argv"], header["folder"]
        if not self._provider.isolates:
            raise CandidateFault(
                Reason.REFUSED,
                f"the evaluator starts {argv[0]}, which needs a sandbox that isolates: use "
                "--sandbox docker or bubblewrap",
                "",
            )
        files, stdin = wire.decode(payload)
        async with self._pool.session() as session:
            await session.load({}, None)
            await session.restore(
                {path: (data, x) for path, (data, x) in files.items()}
            )
            reply = await session.run(argv, stdin, header["timeout_s"], folder)
            tree = await session.tree()
        stdout, stderr = wire.decode(reply.payload)
        found = {path: [data, executable] for path, (data, executable) in tree.items()}
        return Reply(wire.encode([stdout, stderr, found]), reply.seconds, reply.exit)

    async def close(self) -> None:
        """Close the box."""
        await self._pool.close()
