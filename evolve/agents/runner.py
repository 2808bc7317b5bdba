"""Episodes: an agent works in a fresh sandbox, and its workspace is read as a tree."""

import asyncio
from dataclasses import replace
from typing import Any

from evolve.agents.front_process import Fronts
from evolve.agents.proxy import Proxy
from evolve.archive import Files, Proposal
from evolve.errors import TaskError
from evolve.models import Episode, Models
from evolve.retry import retry_sandbox
from evolve.sandbox import CandidateFault, Pool, ProviderFault, Reason, Session
from evolve.sandbox.claims import read_files, read_small
from evolve.sandbox.inside import wire
from evolve.sandbox.session import check_tree
from evolve.sandbox.time_limit import TimeLimit
from evolve.tasks import AgentSpec, AgentTask, EpisodeResult

INSIDE = "evolve_inside.evolve_agent"  # the module in the sandbox that runs an agent
WORKSPACE, STATEMENT = "workspace", "statement.md"
AGENT, SOCKET = "agent", "proxy.sock"
MAX_FILES = 5000  # of a workspace that is read
_FOREVER_S = 1e9  # the clock limits the time
_NO_FOLDER = (
    "the sandbox does not see the folder with the agent and the proxy's socket",
    "the Docker daemon must run on this machine, with the same file system",
)


class AgentRunner:
    """Runs episodes in sandboxes of a pool, as many in parallel as the pool allows.

    Args:
        pool: sandboxes for episodes
        asker: answers requests within the budget
        limits: limits of an episode
        reply_tokens: limit of a reply
        patience_s: how long a fault of the sandbox is retried, in seconds
    """

    def __init__(
        self,
        pool: Pool,
        models: Models,
        limits: AgentSpec,
        reply_tokens: int,
        patience_s: float,
    ) -> None:
        self.pool, self._models, self._patience_s = pool, models, patience_s
        self._fronts = Fronts()
        self._limits, self._reply_tokens = limits, reply_tokens

    async def episode(
        self, proposal: Proposal, episode: Episode, agent: Files, work: AgentTask
    ) -> EpisodeResult:
        """Run one episode.

        Args:
            proposal: owner of the calls
            episode: purpose and attempt
            agent: the agent's tree, path -> content
            work: statement and workspace

        Returns:
            The result; a failure of the agent is a result with a reason.

        Raises:
            ProviderFault: a fault of the machine
            OutOfBudget: the next call does not fit into the budget
            EvolveError: another error that must end the run
        """
        clock = TimeLimit(self._limits.time_s)
        proxy = Proxy(
            self._models, proposal, episode, self._limits, self._reply_tokens, clock
        )
        async with self.pool.session() as session:
            produced = await self._in_box(session, proxy, clock, agent, work)
            usage = await session.end()
        if proxy.fault is not None:
            raise proxy.fault
        log = f"{usage.log.rstrip()}\n{produced.log}".strip()
        return replace(
            produced,
            log=log,
            used=replace(proxy.used, seconds=clock.used_s),
            signs=tuple(f"{kind}: {words}" for kind, words in proxy.signs.items()),
        )

    async def close_fronts(self) -> None:
        """End the processes of the proxy; no episode may run."""
        await self._fronts.close()

    async def edit(
        self, proposal: Proposal, attempt: int, agent: Files, work: AgentTask
    ) -> EpisodeResult:
        """Run an episode on an agent's own tree; retry after faults of the machine.

        Args:
            proposal: owner of the calls
            attempt: number of the attempt
            agent: tree of the editing agent, path -> content
            work: statement and the tree to edit

        Returns:
            The result of the episode.

        Raises:
            RunError: the fault does not pass
            OutOfBudget: the next call does not fit into the budget
        """
        return await retry_sandbox(
            lambda: self.episode(proposal, Episode("edit", attempt), agent, work),
            self._patience_s,
        )

    async def _in_box(
        self,
        session: Session,
        proxy: Proxy,
        clock: TimeLimit,
        agent: Files,
        work: AgentTask,
    ) -> EpisodeResult:
        assert session.folder is not None
        await _furnish(session, agent, work)
        async with (
            self._fronts.lease() as front,
            proxy.serving(session.folder.path / SOCKET, front),
        ):
            try:
                if not read_small(await _call(session, "ready")):
                    raise ProviderFault(*_NO_FOLDER)
                status = await self._run(session, proxy, clock)
                if proxy.fault is not None:
                    return EpisodeResult()
                if status != 0:
                    return EpisodeResult(
                        reason=Reason.CRASH.value,
                        message=f"the agent ended with exit status {status!r:.20}",
                    )
                return EpisodeResult(await self._collect(session))
            except TimeoutError:
                return EpisodeResult(
                    reason=Reason.TIMEOUT.value,
                    message=f"the agent used over {clock.limit_s:g} s of its time",
                )
            except CandidateFault as fault:
                return EpisodeResult(
                    reason=fault.reason.value, message=fault.message, log=fault.log
                )

    async def _run(self, session: Session, proxy: Proxy, clock: TimeLimit) -> Any:
        """Return the claimed exit status; None if the run ended the episode."""
        running = asyncio.create_task(
            _call(session, "run", self._limits.entry, WORKSPACE, STATEMENT)
        )
        broken = asyncio.create_task(proxy.broken.wait())
        try:
            async with clock.running():
                await asyncio.wait(
                    {running, broken}, return_when=asyncio.FIRST_COMPLETED
                )
            return read_small(running.result()) if running.done() else None
        finally:
            for task in (running, broken):
                task.cancel()
            await asyncio.gather(running, broken, return_exceptions=True)

    async def _collect(self, session: Session) -> dict[str, bytes]:
        """Return the checked workspace; raise `CandidateFault` for an invalid one."""
        limits = self.pool.provider.spec.limits
        most = min(limits.disk_bytes, limits.message_bytes // 2)
        claimed = await _call(session, "collect", WORKSPACE, MAX_FILES, most)
        files = await read_files(claimed, MAX_FILES)
        check_tree(files, replace(limits, files=MAX_FILES, disk_bytes=most))
        return files

    async def imports(self, agent: Files) -> str | None:
        """Import the agent's entry in a sandbox without a proxy.

        Args:
            agent: the agent's tree, path -> content

        Returns:
            The problem; None if there is none.
        """
        async with self.pool.session() as session:
            await _furnish(session, agent, AgentTask("", {}))
            try:
                module = self._limits.entry.removesuffix(".py").replace("/", ".")
                await _call(session, "imports", module, timeout_s=self._limits.time_s)
            except CandidateFault as fault:
                return f"{fault.message}\n{fault.log}".strip()
        return None


async def _furnish(session: Session, agent: Files, work: AgentTask) -> None:
    """Place the agent's files read-only next to the socket; load the task."""
    folder = session.folder
    assert folder is not None
    files = {f"{WORKSPACE}/{path}": data for path, data in work.files.items()}
    try:
        check_tree(agent, session.limits)
        await asyncio.to_thread(folder.write, AGENT, agent)
        await session.load(files | {STATEMENT: work.statement.encode()}, INSIDE)
    except CandidateFault as fault:  # not the agent's fault: it has not started
        if fault.reason is not Reason.REFUSED:
            raise ProviderFault(
                f"the sandbox accepted no files: {fault.message}"
            ) from None
        raise TaskError(
            f"the workspace can't be made: {fault.message}",
            "see [limits] in task.toml: disk_mb",
        ) from None


async def _call(
    session: Session, function: str, *arguments: Any, timeout_s: float = _FOREVER_S
) -> bytes:
    """Call a trusted function in the sandbox; its answer is only a claim."""
    encoded = wire.encode((list(arguments), {}))
    return (await session.call(function, encoded, timeout_s)).payload
