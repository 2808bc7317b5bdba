"""Commands of a candidate: each of its programs starts in the folder as the build left it.

A program that keeps a file or a process between two runs could answer the second from memory.
So each run of a program gets a new candidate, with the files that were there before the first
program ran. What must stay is known from the seed: a command that changes files of the folder
when the seed runs it is a step of the build, and its changes stay.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evolve.archive import Files
from evolve.sandbox import Measured, Pool, Reply, Session
from evolve.sandbox.folder import is_executable
from evolve.sandbox.session import Tree


@dataclass
class BuildSteps:
    """Which commands of a case change the folder, learned from the seed.

    Attributes:
        numbers: Their numbers, from 0.
        commands: Their arguments.
        programs: Number of commands that are not steps.
        calls: Whether functions are called as well, in one process.
    """

    numbers: set[int] = field(default_factory=set)
    commands: set[tuple[str, ...]] = field(default_factory=set)
    programs: int = 0
    calls: bool = False

    def has(self, number: int, argv: Sequence[str]) -> bool:
        """Return whether a command is a step of the build.

        Args:
            number: Its number among the commands of the case.
            argv: Its arguments.

        Returns:
            True if the seed's command with this number or these arguments is one.
        """
        return number in self.numbers or tuple(argv) in self.commands


class UnknownBuild(Exception):
    """A command was asked for, and the seed has not shown which ones build."""


class FreshRuns:
    """The candidate as its scorer reaches it.

    Args:
        pool: The pool of the session.
        session: A session with the candidate's files loaded.
        known: What the seed showed; None: unknown.
        learning: Filled from this candidate, which is the seed; None: another one.
        block: Runs a block for timing; see `PairTimer.run`.
        rehearse: Measures transport; see `Rehearsals.run`.
        tool: Runs a command of the evaluator; see `Tools.run`.

    Attributes:
        hidden: Whether it has got inputs that are drawn from the secret seed.
    """

    def __init__(
        self,
        pool: Pool,
        session: Session,
        known: BuildSteps | None,
        learning: BuildSteps | None,
        block: Callable[[Mapping[str, Any], bytes], Awaitable[Reply]],
        rehearse: Callable[[bytes, int], Awaitable[Reply]],
        tool: Callable[[Mapping[str, Any], bytes], Awaitable[Reply]],
    ) -> None:
        self.session, self.hidden = session, False
        self.block, self.rehearse, self.tool = block, rehearse, tool
        self._pool, self._known, self._learning = pool, known, learning
        self._number = 0
        self._built: Tree | None = None  # the folder before the first program ran
        self._ran = False  # whether one ran in the present folder

    async def call(
        self, function: str, arguments: bytes, timeout_s: float | None
    ) -> Reply:
        """Call a function; see `Session.call`."""
        if self._learning is not None:
            self._learning.calls = True
        return await self.session.call(function, arguments, timeout_s)

    async def measure(self, header: Mapping[str, Any], payload: bytes) -> Measured:
        """Make a request of another engine's evaluator, and measure it.

        Args:
            header: The request: a call, or a command.
            payload: Its arguments, or its input.

        Returns:
            The answer and the measurement.
        """
        if header["op"] == "run":
            return await self.session.measure_run(
                header["argv"], payload, header["timeout_s"], header["folder"]
            )
        return await self.session.measure_call(
            header["function"], payload, header["timeout_s"]
        )

    async def put(self, files: Files) -> Reply:
        """Add files, which every later command finds; see `Session.load`."""
        if self._built is not None:
            added = {path: (data, is_executable(data)) for path, data in files.items()}
            self._built = {**self._built, **added}
        return await self.session.load(files, None)

    async def run(
        self,
        argv: Sequence[str],
        stdin: bytes,
        timeout_s: float | None,
        folder: str = "",
    ) -> Reply:
        """Run a command; see `Session.run`.

        Returns:
            The reply.

        Raises:
            UnknownBuild: The seed must run first.
        """
        number, self._number = self._number, self._number + 1
        if self._learning is not None:
            return await self._learn(self._learning, number, argv, stdin, timeout_s)
        if self._known is None:
            raise UnknownBuild
        if self._known.calls:  # state of its module would be lost
            return await self.session.run(argv, stdin, timeout_s, folder)
        if self._ran and self._built is not None:
            await self._pool.renew(self.session)
            await self.session.restore(self._built)
            self._ran = False
        if not self._known.has(number, argv):
            if self._built is None:
                self._built = await self.session.tree()
            self._ran = True
        else:
            self._built = None
        return await self.session.run(argv, stdin, timeout_s)

    async def _learn(
        self,
        steps: BuildSteps,
        number: int,
        argv: Sequence[str],
        stdin: bytes,
        timeout_s: float | None,
    ) -> Reply:
        """Run a command of the seed and note whether it changes the folder."""
        before: Mapping[str, object] = await self.session.tree()
        reply = await self.session.run(argv, stdin, timeout_s)
        if await self.session.tree() != before:
            steps.numbers.add(number)
            steps.commands.add(tuple(argv))
        else:
            steps.programs += 1
        return reply
