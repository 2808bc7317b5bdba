"""Evaluate a tree: sandbox, scorer and case come together; the result is a row or a fault."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from archive import Evaluation
from evolve.errors import TaskError
from evolve.evaluation.scorer_process import Said, ScorerDied, ScorerProcess
from evolve.evaluation.shared import SHARED, peer_config, score_together
from evolve.tasks import CaseSpec, Task
from sandbox import CandidateFault, Pool, Session
from sandbox.inside import wire

INSEPARABLE = "inseparable"  # the reason when a peer's evaluator can't be outside the sandbox
REMOTE = "evolve_remote"  # the module in the sandbox that imports a peer's program when asked
_PEER_SCORER = Path(__file__).with_name("peers") / "scorer.py"
EVALUATOR = "evaluator"  # the reason when evaluate.py itself raised or gave no finite score


@dataclass(frozen=True)
class Verdict:
    """Rows of one evaluation over some cases; a reason when the candidate failed one of them."""

    rows: tuple[Evaluation, ...]

    @property
    def failed(self) -> Evaluation | None:
        return next((row for row in self.rows if row.reason is not None), None)

    @property
    def score(self) -> float:
        """The mean over cases. Raises `ValueError` for a verdict that failed."""
        return fmean(row.score for row in self.rows if row.score is not None)

    @property
    def feedback(self) -> str:
        return "\n".join(row.feedback for row in self.rows if row.feedback)


def _whole_log(printed: str, told: str) -> str:
    """What the candidate printed, then what is told of its end."""
    return told if printed.strip() in told else f"{printed.rstrip()}\n{told}".strip()


def draw_secret() -> int:
    """What hidden inputs of a run are drawn from, 0 to 2**63 - 1."""
    return secrets.randbits(63)


class EvaluatorBroken(TaskError):
    """evaluate.py can't be loaded or died: the task's fault, found before anything is spent."""


class Evaluator:
    """Scores trees on cases, as many at a time as the pool has boxes."""

    def __init__(self, task: Task, pool: Pool, log: Path, packages: Path | None = None,
                 secret: int | None = None, note: Callable[[str], None] | None = None) -> None:
        self.task, self.pool = task, pool
        self._log, self._packages, self._note = log, packages, note
        self._secret = draw_secret() if secret is None else secret
        self._idle: list[ScorerProcess] = []
        self._together: bool | None = None if task.peer else False  # None: not known yet
        self._finding_out = asyncio.Lock()

    async def move_to(self, task: Task, log: Path) -> None:
        """Score with another copy of the task from now on; scorers of the old one end."""
        self.task, self._log = task, log
        await asyncio.gather(*(scorer.close() for scorer in self._idle))
        self._idle.clear()

    async def evaluate(self, files: Mapping[str, bytes], cases: Sequence[CaseSpec],
                       attempt: int = 0) -> Verdict:
        """Score on every case, in order, until one fails.

        Raises `sandbox.ProviderFault` (the machine's fault: try again) or `EvaluatorBroken`.
        """
        if self._together is None:
            await self._find_out(cases[0])
        rows: list[Evaluation] = []
        for case in cases:
            rows.append(await self._evaluate_case(files, case, attempt))
            if rows[-1].reason is not None:
                break
        return Verdict(tuple(rows))

    async def _find_out(self, case: CaseSpec) -> None:
        """The seed shows whether a peer's evaluator works apart; later candidates have no say."""
        async with self._finding_out:
            if self._together is None:
                row = await self._evaluate_case(self.task.seed, case, 0)
                self._together = row.reason == INSEPARABLE
                if self._together and self._note:
                    self._note(f"{SHARED}: {row.message}; both run in one sandbox, and what comes out "
                               "is in the candidate's reach")

    async def _evaluate_case(self, files: Mapping[str, bytes], case: CaseSpec,
                             attempt: int) -> Evaluation:
        row = Evaluation(case.id, case.split, attempt, None, evaluator=self.task.evaluator_hash)
        started = time.perf_counter()
        async with self.pool.session() as session:
            try:
                if self._together:
                    row = await score_together(session, self.task, files, row)
                else:
                    await session.load(files, REMOTE if self.task.peer else self.task.module)
                    row = await self._scored(session, files, case, row)
            except CandidateFault as fault:
                row = replace(row, reason=fault.reason.value, message=fault.message, log=fault.log)
            usage = await session.end()
        return replace(row, seconds=time.perf_counter() - started, cpu_s=usage.cpu_s,
                       peak_memory_bytes=usage.peak_memory_bytes, log=_whole_log(usage.log, row.log))

    async def _scored(self, session: Session, files: Mapping[str, bytes], case: CaseSpec,
                      row: Evaluation) -> Evaluation:
        scorer = await self._lease()
        limit = self.task.spec.limits.whole_evaluation_s
        try:
            async with asyncio.timeout(limit):
                said = await scorer.score(session, files, case, self._seed_of(case))
        except TimeoutError:
            await scorer.close()
            return replace(row, reason="timeout", message=f"the evaluation took over {limit:g} s")
        except ScorerDied as error:
            await scorer.close()
            return replace(row, reason=EVALUATOR, message=f"evaluate.py's process: {error}")
        except BaseException:
            await scorer.close()
            raise
        if said.op == "broken":
            await scorer.close()  # replaced after a fault
        else:
            self._idle.append(scorer)
        return self._read(said, row)

    def _seed_of(self, case: CaseSpec) -> int:
        """The case's own secret seed, 0 to 2**63 - 1."""
        digest = hashlib.blake2b(f"{self._secret}:{case.id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1

    def _read(self, said: Said, row: Evaluation) -> Evaluation:
        if said.op == "result":
            result = wire.decode(said.payload)
            metrics = {str(k): v for k, v in result.get("metrics", {}).items()}
            return replace(row, score=result["score"], metrics=metrics,
                           feedback=str(result.get("feedback", "")))
        if said.op == "refused":
            return replace(row, reason=said.header["reason"], message=said.header["message"],
                           log=said.header["log"])
        return replace(row, reason=EVALUATOR, message=self._place(said), log=said.header["log"])

    def _place(self, said: Said) -> str:
        line = said.header.get("line")
        where = f"{self.task.evaluator}:{line}" if line else str(self.task.evaluator)
        return f"{where}: {said.header['message']}"

    async def _lease(self) -> ScorerProcess:
        if self._idle:
            return self._idle.pop()
        scorer = await self._start()
        try:
            problem = await scorer.wait_until_ready()
        except ScorerDied as error:
            await scorer.close()
            raise EvaluatorBroken(f"{self.task.evaluator}: its process died: {error}",
                                  f"see {self._log}") from None
        if problem is not None:
            await scorer.close()
            raise EvaluatorBroken(self._place(problem))
        return scorer

    async def _start(self) -> ScorerProcess:
        task = self.task
        if task.peer is None:
            return await ScorerProcess.start(task.evaluator, self._packages, self._log, task.folder, {})
        environment = {"EVOLVE_PEER": json.dumps(peer_config(task))}
        return await ScorerProcess.start(_PEER_SCORER, self._packages, self._log, task.folder,
                                         environment)

    async def close(self) -> None:
        """End scorers and sandboxes."""
        await asyncio.gather(*(scorer.close() for scorer in self._idle))
        await self.pool.close()
