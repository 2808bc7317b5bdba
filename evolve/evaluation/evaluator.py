"""Evaluation of a tree: sandbox, scorer and case give a row or a fault."""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from evolve.archive import Evaluation, Files, Kind, Proposal
from evolve.errors import TaskError
from evolve.evaluation.confinement import TRIES
from evolve.evaluation.failures import without_inputs
from evolve.evaluation.fresh_runs import BuildSteps, FreshRuns, UnknownBuild
from evolve.evaluation.memory import memory_limit
from evolve.evaluation.pairs import PairTimer, Reference
from evolve.evaluation.rehearsals import Rehearsals
from evolve.evaluation.scorer import (
    MAX_FEEDBACK_CHARS,
    MAX_METRICS_BYTES,
    TIMING,
    printable,
)
from evolve.evaluation.scorer_process import (
    Said,
    ScorerDied,
    ScorerFull,
    ScorerProcess,
    WallsFell,
)
from evolve.evaluation.shortage import check_machine, may_be_the_machines
from evolve.evaluation.tools import Tools
from evolve.peers.arguments import CHANGES
from evolve.peers.formats import CAUGHT, TRANSPORT
from evolve.peers.shared import EVALUATOR_SHARED, peer_config, score_together
from evolve.sandbox import ONE_THREAD, CandidateFault, Pool, Reason, Session
from evolve.sandbox.errors import machine_faults
from evolve.sandbox.inside import wire
from evolve.sandbox.process_limits import check_limits
from evolve.sandbox.time_limit import TimeLimit
from evolve.tasks import CaseSpec, Task

# reason if a peer's evaluator can't run outside the sandbox
INSEPARABLE = "inseparable"
MAX_RESULT_BYTES = 2 * (MAX_METRICS_BYTES + MAX_FEEDBACK_CHARS)
REMOTE = "evolve_inside.evolve_remote"  # imports a peer's program in the sandbox
_PEER_SCORER = Path(__file__).parents[1] / "peers" / "scorer.py"
PREPARE_S = 600.0  # for evaluate.py's cases() or workspace()
_RIGHT = 0.8, 1.25  # a program's time for its evaluator, as a multiple of the true one
# reason if evaluate.py itself failed or gave no finite score
EVALUATOR = "evaluator"


@dataclass(frozen=True)
class Verdict:
    """Rows of one evaluation over some cases; the failed one has a reason."""

    rows: tuple[Evaluation, ...]

    @property
    def failed(self) -> Evaluation | None:
        """The first row with a reason; None if no case failed."""
        return next((row for row in self.rows if row.reason is not None), None)

    @property
    def score(self) -> float:
        """The mean of the cases with a score; meaningless if one failed.

        Raises `ValueError` without any score.
        """
        return fmean(row.score for row in self.rows if row.score is not None)

    @property
    def feedback(self) -> str:
        """The feedback of all cases, joined by line ends; empty if there is none."""
        return "\n".join(row.feedback for row in self.rows if row.feedback)


def _whole_log(printed: str, told: str) -> str:
    """Return the candidate's output, then the description of its end."""
    return told if printed.strip() in told else f"{printed.rstrip()}\n{told}".strip()


def _words(header: Mapping[str, Any], key: str) -> str:
    """Return a text of a scorer's message; empty if it is missing."""
    value = header.get(key)
    return printable(value) if isinstance(value, str) else ""


def _with_result(row: Evaluation, payload: bytes) -> Evaluation:
    """Return the row with a scorer's result; raise `wire.Malformed` if it is not one.

    A candidate whose output the scorer executes can write it.
    """
    if len(payload) > MAX_RESULT_BYTES:
        raise wire.Malformed(f"{len(payload):,} bytes")
    match wire.decode(payload, text_keys=True):
        case {"score": float(score), "metrics": dict(metrics), "feedback": str(said)}:
            return replace(row, score=score, metrics=metrics, feedback=said)
    raise wire.Malformed("not a score with metrics and feedback")


def _without_changes(seed: Evaluation) -> tuple[Evaluation, list[str]]:
    """Return the seed's row, and the changes of arguments that it makes."""
    metrics = dict(seed.metrics)
    found = metrics.pop(CHANGES, [])
    return replace(seed, metrics=metrics), list(found)


def draw_secret() -> int:
    """Draw the seed of a run's hidden inputs.

    Returns:
        0 to 2**63 - 1.
    """
    return secrets.randbits(63)


class EvaluatorBroken(TaskError):
    """evaluate.py can't be loaded, or died: a fault of the task, found early."""


class Evaluator:
    """Scores trees on cases, as many in parallel as the pool has sandboxes.

    Args:
        task: the task
        pool: sandboxes for candidates
        log: file for the output of scorers
        packages: folder of packages for scorers; None for none
        secret: seed of hidden inputs; None for a random one
        note: called with messages for people
    """

    def __init__(
        self,
        task: Task,
        pool: Pool,
        log: Path,
        packages: Path | None = None,
        secret: int | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self.task, self.pool = task, pool
        self._log, self._packages, self.note = log, packages, note
        self.cases_done = 0  # number of cases scored so far
        self._secret = draw_secret() if secret is None else secret
        self._idle: list[ScorerProcess] = []
        # Whether a peer's evaluator runs in the candidate's sandbox; None: unknown yet.
        self.together: bool | None = None if task.peer else False
        self._finding_out = asyncio.Lock()
        # Called with the session of a scored candidate before it ends.
        self.at_end: Callable[[Session], Awaitable[None]] | None = None
        # Whether the failures of hidden inputs are told by type and place only, since
        # later prompts show them.
        self.hides_inputs = True
        # In a replay of a timed task: its measurements, by variant, case and attempt.
        self.recorded: Mapping[tuple[str, str, int], Evaluation] = {}
        # the seed's row from `_find_out`, for the next request
        self._seed_row: Evaluation | None = None
        self._builds: dict[str, BuildSteps] = {}  # by case
        self.timer = PairTimer(pool.provider, task.module, task.seed)
        self._rehearsals = Rehearsals(pool.provider)
        self._tools = Tools(pool.provider)
        self._transport: float | None = None  # the seed's ratio, if it is wrong
        # changes of arguments that the seed makes; None: not known yet
        self._changes: list[str] | None = None

    def know(self, other: "Evaluator") -> None:
        """Take over another evaluator's findings about the seed of the same task.

        Args:
            other: it has scored the seed
        """
        self.together, self._changes = other.together, other._changes

    async def move_to(self, task: Task, log: Path) -> None:
        """Use another copy of the task from now on, and close the old scorers.

        Args:
            task: the copy
            log: file for the output of its scorers
        """
        self.task, self._log = task, log
        await asyncio.gather(*(scorer.close() for scorer in self._idle))
        self._idle.clear()

    async def evaluate(
        self,
        files: Files,
        cases: Sequence[CaseSpec],
        attempt: int = 0,
        proposal: Proposal | None = None,
    ) -> Verdict:
        """Score a tree on cases in order, until one fails.

        Args:
            files: the candidate's tree, path -> content
            cases: cases to score
            attempt: number of the attempt
            proposal: owner of the tree; only used for agents

        Returns:
            One row per scored case, the last one with the reason if it failed.

        Raises:
            ProviderFault: a fault of the machine; it may be retried
            EvaluatorBroken: evaluate.py can't be loaded, or died
        """
        if self.together is None:
            await self._find_out(cases[0])
        rows: list[Evaluation] = []
        for case in cases:
            rows.append(
                self._measured(case, attempt, proposal)
                or self._found(files, case, attempt)
                or self._marked(await self._evaluate_case(files, case, attempt))
            )
            self.cases_done += 1
            if rows[-1].reason is not None:
                break
        return Verdict(tuple(rows))

    async def _find_out(self, case: CaseSpec) -> None:
        """Find out by the seed whether a peer's evaluator works outside the sandbox.

        Later candidates can't influence this.
        """
        async with self._finding_out:
            if self.together is None:
                row = await self._evaluate_case(self.task.seed, case, 0)
                self.together = row.reason == INSEPARABLE
                row, self._changes = _without_changes(row)
                row = self._with_transport(row)
                self._seed_row = None if self.together else row
                if CAUGHT in row.metrics and self.note:
                    said = str(row.metrics[CAUGHT])
                    hint = "; name the package in requirements.txt"
                    self.note(
                        f"warning: the seed raises {said}; its evaluator catches that and "
                        f"scores it {row.score!r}"
                        + hint
                        * said.startswith("ModuleNotFoundError")
                    )
                if self.together and self.note:
                    self.note(
                        f"{EVALUATOR_SHARED}: {row.message}; both run in one sandbox, so a "
                        "candidate could change its score"
                    )

    def _with_transport(self, seed: Evaluation) -> Evaluation:
        """Learn from the seed how far the evaluator's times of a program are wrong.

        Returns:
            The seed's row with the mark that all rows get.
        """
        ratio = seed.metrics.get(TRANSPORT)
        if isinstance(ratio, float) and not _RIGHT[0] <= ratio <= _RIGHT[1]:
            self._transport = ratio
        return self._marked(seed)

    def _marked(self, row: Evaluation) -> Evaluation:
        """Return a row with the seed's ratio in place of the row's, if it is wrong."""
        metrics = {key: row.metrics[key] for key in row.metrics if key != TRANSPORT}
        if self._transport is not None and row.score is not None:
            metrics[TRANSPORT] = self._transport
        return replace(row, metrics=metrics)

    def _measured(
        self, case: CaseSpec, attempt: int, proposal: Proposal | None
    ) -> Evaluation | None:
        """Return a recorded measurement, if a replay has it."""
        if proposal is None or not self.recorded:
            return None
        again = proposal.kind is Kind.EVALUATE
        owner = proposal.parents[0] if again else proposal.id
        return self.recorded.get((owner, case.id, attempt))

    def _found(self, files: Files, case: CaseSpec, attempt: int) -> Evaluation | None:
        """Return the seed's row once, since evaluations may take minutes."""
        row = self._seed_row
        if (
            row is None
            or (row.case, row.attempt) != (case.id, attempt)
            or files != self.task.seed
        ):
            return None
        self._seed_row = None
        return row

    async def _evaluate_case(
        self, files: Files, case: CaseSpec, attempt: int
    ) -> Evaluation:
        """Return the row of a case, from a fresh scorer if a reused one runs out of memory.

        Earlier candidates may have filled the memory of the reused one.
        """
        try:
            return await self._try_case(files, case, attempt)
        except UnknownBuild:
            steps, row = await self._learn_build(case)
            if row and steps.programs < 2 and files == self.task.seed and not attempt:
                return row  # the same as in fresh runs
            return await self._evaluate_case(files, case, attempt)
        except ScorerFull:
            return await self._try_case(files, case, attempt, fresh=True)

    async def _learn_build(
        self, case: CaseSpec
    ) -> tuple[BuildSteps, Evaluation | None]:
        """Find out by the seed which commands of a case build.

        Returns:
            The steps, and the seed's row if this call has evaluated it.
        """
        async with self._finding_out:
            if case.id in self._builds:
                return self._builds[case.id], None
            steps = BuildSteps()
            row = await self._try_case(self.task.seed, case, 0, learning=steps)
            self._builds[case.id] = steps
            return steps, row

    async def _try_case(
        self,
        files: Files,
        case: CaseSpec,
        attempt: int,
        fresh: bool = False,
        learning: BuildSteps | None = None,
    ) -> Evaluation:
        row = Evaluation(
            case.id, case.split, attempt, None, evaluator=self.task.evaluator_hash
        )
        started = time.perf_counter()
        async with self.pool.session() as session:
            live = FreshRuns(
                self.pool,
                session,
                self._known(case),
                learning,
                partial(self.timer.run, files, case.id),
                self._rehearsals.run,
                self._tools.run,
            )
            try:
                if self.together:
                    row = await score_together(session, self.task, files, row)
                else:
                    await session.load(files, self._module(case))
                    row = await self._scored(live, files, case, row, fresh)
                if self.at_end is not None and row.reason is None:
                    await self.at_end(session)
            except CandidateFault as fault:
                row = replace(
                    row, reason=fault.reason.value, message=fault.message, log=fault.log
                )
            usage = await session.end()
        if row.reason is not None:
            doubtful = may_be_the_machines(row)
            if doubtful:
                self._check_machine()
            await self.pool.check(session, thorough=doubtful)
        row = replace(row, log=_whole_log(usage.log, row.log))
        if live.hidden and row.reason is not None and self.hides_inputs:
            row = without_inputs(row, files)
        return replace(
            row,
            seconds=time.perf_counter() - started,
            cpu_s=usage.cpu_s,
            peak_memory_bytes=usage.peak_memory_bytes,
        )

    def _known(self, case: CaseSpec) -> BuildSteps | None:
        """Return which commands of a case build; None: not known yet.

        The commands of other engines and of agents belong to one process.
        """
        if self.task.peer or self.task.spec.agent:
            return BuildSteps(calls=True)
        return self._builds.get(case.id)

    def _module(self, case: CaseSpec) -> str | None:
        """Return the module to import; none if the case only runs commands."""
        if self.task.peer:
            return REMOTE
        steps = self._builds.get(case.id)
        runs_only = steps is not None and steps.programs and not steps.calls
        return None if runs_only else self.task.module

    async def prepared(self, op: str, case: CaseSpec) -> Any:
        """Return the result of evaluate.py's function `cases` or `workspace`.

        Args:
            op: name of the function
            case: argument of `workspace`

        Returns:
            Plain data; None if the function does not exist.

        Raises:
            EvaluatorBroken: it fails or takes too long
        """
        scorer = await self._lease()
        try:
            async with asyncio.timeout(PREPARE_S):
                said = await scorer.prepare(op, case, self._seed_of(case))
        except (TimeoutError, ScorerDied) as error:
            await scorer.close()
            what = str(error) or f"it took over {PREPARE_S:g} s"
            raise EvaluatorBroken(
                f"{self.task.evaluator}: {op}: {what}", f"see {self._log}"
            ) from None
        except BaseException:
            await scorer.close()
            raise
        self._idle.append(scorer)
        if said.op == "broken":
            raise EvaluatorBroken(f"{op} of case {case.id}: {self._place(said)}")
        return wire.decode(said.payload) if said.op == op else None

    async def _scored(
        self,
        live: FreshRuns,
        files: Files,
        case: CaseSpec,
        row: Evaluation,
        fresh: bool,
    ) -> Evaluation:
        scorer = await self._lease(fresh)
        limit = self.task.spec.evaluation_limit_s
        try:
            async with TimeLimit(limit).running():
                said = await scorer.score(
                    live,
                    files,
                    self._with_changes(case),
                    self._seed_of(case, files, row.attempt),
                    row.attempt,
                )
        except TimeoutError:
            await scorer.close()
            return replace(
                row,
                reason=Reason.TIMEOUT.value,
                message=f"the evaluation took over {limit:g} s",
            )
        except ScorerFull as error:
            await scorer.close()
            if scorer.scored > 1:
                raise
            return replace(
                row,
                reason=Reason.MEMORY.value,
                message=f"the scorer ran out of memory while scoring it: {error}",
            )
        except ScorerDied as error:
            await scorer.close()
            return replace(
                row, reason=EVALUATOR, message=f"evaluate.py's process: {error}"
            )
        except BaseException:
            await scorer.close()
            raise
        if said.op == "broken":
            await scorer.close()  # replaced after a fault
        else:
            self._idle.append(scorer)
        return self._read(said, row)

    def _with_changes(self, case: CaseSpec) -> CaseSpec:
        """Return the case of another engine's task with what its scorer needs to know."""
        if self.task.peer is None:
            return case
        return case.model_copy(update={"params": {CHANGES: self._changes}})

    def _read(self, said: Said, row: Evaluation) -> Evaluation:
        header = said.header
        if said.op == "result":
            try:
                return _with_result(row, said.payload)
            except wire.Malformed as error:
                return replace(row, reason=EVALUATOR, message=f"its result: {error}")
        log = _words(header, "log")
        if said.op == "refused":
            reason = _words(header, "reason")
            return replace(
                row, reason=reason, message=_words(header, "message"), log=log
            )
        return replace(row, reason=EVALUATOR, message=self._place(said), log=log)

    def _seed_of(
        self, case: CaseSpec, files: Files | None = None, attempt: int = 0
    ) -> int:
        """Return the secret seed of a case, 0 to 2**63 - 1.

        If the task wants fresh inputs, it depends on the variant and the attempt.
        """
        digest = hashlib.blake2b(f"{self._secret}:{case.id}".encode(), digest_size=8)
        if self.task.spec.fresh_inputs and files is not None:
            for path, content in sorted(files.items()):
                digest.update(f"\0{path}\0{len(content)}\0".encode() + content)
            digest.update(f"\0{attempt}".encode())
        return int.from_bytes(digest.digest(), "big") >> 1

    def _place(self, said: Said) -> str:
        line = said.header.get("line")
        place = f":{line}" if type(line) is int else ""
        return f"{self.task.evaluator}{place}: {_words(said.header, 'message')}"

    async def _lease(self, fresh: bool = False, tries: int = TRIES) -> ScorerProcess:
        if self._idle and not fresh:
            return self._idle.pop()
        with machine_faults("a scorer can't be started"):
            check_limits(self.pool.provider.spec.limits, self.pool.size)
            scorer = await self._start()
        try:
            problem = await scorer.wait_until_ready()
        except ScorerDied as error:
            await scorer.close()
            if isinstance(error, WallsFell) and tries > 1:
                return await self._lease(fresh, tries - 1)
            self._check_machine()
            raise EvaluatorBroken(
                f"{self.task.evaluator}: its process died: {error}", f"see {self._log}"
            ) from None
        if problem is not None:
            await scorer.close()
            raise EvaluatorBroken(self._place(problem))
        return scorer

    def _check_machine(self) -> None:
        """Raise `ProviderFault` if the machine lacks something at the moment."""
        check_machine(self.pool.provider.spec.limits, self.pool.size, self._log)

    async def _start(self) -> ScorerProcess:
        task, environment = self.task, {}
        if task.spec.timing is not None:
            environment[TIMING] = task.spec.timing.model_dump_json()
        if task.peer is not None:
            config = peer_config(task)
            environment["EVOLVE_PEER"] = json.dumps(config)
            if config["clocks"]:  # it may compare its own time with the program's
                environment |= ONE_THREAD
        return await ScorerProcess.start(
            _PEER_SCORER if task.peer else task.evaluator,
            self._packages,
            self._log,
            task.folder,
            environment,
            memory_limit(task),
        )

    def measure_against(self, files: Files, rows: Sequence[Evaluation]) -> None:
        """Measure later variants of a timed task against another one.

        Args:
            files: its tree
            rows: its evaluations, whose scores are multiples of the seed's speed
        """
        ratios = {row.case: row.score for row in rows if row.score is not None}
        self.timer.best = Reference(files, ratios)

    async def close(self) -> None:
        """Close scorers and sandboxes."""
        await asyncio.gather(*(scorer.close() for scorer in self._idle))
        await self.timer.close()
        await self._rehearsals.close()
        await self._tools.close()
        await self.pool.close()
