"""Scores agents: an episode for each case, then what it left behind is graded as a candidate is.

The grading runs in another fresh box that has no proxy, by the same scorer process as ever. An episode
that fails scores 0 on its case; an agent that is no agent any more fails before its first case.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evolve.agents.flags import flags_in, new_lines
from evolve.agents.runner import AgentRunner
from evolve.agents.validity import problem_of
from evolve.archive import SEED, SIGNS, Evaluation, Kind, Proposal
from evolve.evaluation.evaluator import EVALUATOR, Evaluator, EvaluatorBroken, Verdict
from evolve.models import Episode, Models
from evolve.sandbox import Pool
from evolve.tasks import AgentSpec, AgentTask, CaseSpec, EpisodeResult, Task, with_cases

# refused by candidate.fail in evaluate.py, or an agent that is none any more
INVALID = "invalid"
LOG_CHARS = 8000


class AgentEvaluator(Evaluator):
    """As an evaluator of programs, with an episode before each grading."""

    runner: AgentRunner

    def __init__(
        self,
        task: Task,
        pool: Pool,
        episodes: Pool,
        log: Path,
        packages: Path | None = None,
        secret: int | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(task, pool, log, packages, secret, note)
        self._episodes = episodes

    @property
    def limits(self) -> AgentSpec:
        """What an episode may use."""
        assert self.task.spec.agent is not None
        return self.task.spec.agent

    def connect(self, models: Models, reply_tokens: int, patience_s: float) -> None:
        """Agents ask this models from now on."""
        self.runner = AgentRunner(
            self._episodes, models, self.limits, reply_tokens, patience_s
        )

    async def complete(self) -> None:
        """Let evaluate.py make the cases, where task.toml has none. Raises `TaskError`."""
        if self.task.spec.lists_cases or self.task.made_cases is not None:
            return
        made = await self.prepared("cases", self.task.spec.cases[0])
        if made is None:
            return
        try:
            text = json.dumps(made, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise EvaluatorBroken(
                f"{self.task.evaluator}: cases(): no plain data: {error}"
            ) from None
        await self.move_to(with_cases(self.task, text), self._log)

    async def evaluate(
        self,
        files: Mapping[str, bytes],
        cases: Sequence[CaseSpec],
        attempt: int = 0,
        proposal: Proposal | None = None,
    ) -> Verdict:
        """Score on all cases, at once where boxes are free; a new agent must show that it is one.

        Raises as `Evaluator.evaluate` does, and `OutOfBudget` or `ModelError`.
        """
        assert proposal is not None, "an agent's calls belong to a proposal"
        if proposal.kind is not Kind.EVALUATE:
            problem = await problem_of(
                self.runner, proposal, files, attempt, self.limits.validity == "toy"
            )
            if problem is not None:
                return Verdict((self._invalid(cases[0], attempt, problem),))
        # A fault of one ends none of the others: calls that are on their way are paid for.
        rows = await asyncio.gather(
            *(self._scored_episode(files, case, attempt, proposal) for case in cases),
            return_exceptions=True,
        )
        return Verdict(tuple(map(_row_or_fault, rows)))

    def _invalid(self, case: CaseSpec, attempt: int, problem: str) -> Evaluation:
        message, _, log = problem.partition("\n")
        return Evaluation(
            case.id,
            case.split,
            attempt,
            None,
            reason=INVALID,
            message=message,
            log=log[-LOG_CHARS:],
            evaluator=self.task.evaluator_hash,
        )

    async def _scored_episode(
        self,
        files: Mapping[str, bytes],
        case: CaseSpec,
        attempt: int,
        proposal: Proposal,
    ) -> Evaluation:
        """One case: work, then grading. Only a broken evaluator on the seed is no score."""
        work = await self._work_of(case)
        produced = await self.work(proposal, f"case {case.id}", files, work, attempt)
        produced = replace(produced, signs=(*self._signs_of(files), *produced.signs))
        return await self._graded(produced, case, attempt, proposal)

    def _signs_of(self, files: Mapping[str, bytes]) -> list[str]:
        """In the agent's own lines, as far as the seed does not have them."""
        return [
            f"{trip.kind}: {trip.words}"
            for lines in new_lines(self.task.seed, files).values()
            for trip in flags_in(lines)
        ]

    async def work(
        self,
        proposal: Proposal,
        purpose: str,
        files: Mapping[str, bytes],
        work: AgentTask,
        attempt: int = 0,
    ) -> EpisodeResult:
        """An episode that is not graded. Raises as an episode does."""
        return await self.runner.episode(
            proposal, Episode(purpose, attempt), files, work
        )

    async def work_and_grade(
        self,
        proposal: Proposal,
        purpose: str,
        files: Mapping[str, bytes],
        worked: CaseSpec,
        graded: CaseSpec,
    ) -> Evaluation:
        """Work on one case, graded as another. Raises as an episode does."""
        produced = await self.work(
            proposal, purpose, files, await self._work_of(worked)
        )
        return await self._graded(produced, graded, 0, proposal)

    async def _graded(
        self, produced: EpisodeResult, case: CaseSpec, attempt: int, proposal: Proposal
    ) -> Evaluation:
        if produced.reason is not None:
            row = Evaluation(
                case.id,
                case.split,
                attempt,
                0.0,
                evaluator=self.task.evaluator_hash,
                feedback=f"the agent failed: {produced.reason}: {produced.message}",
            )
        else:
            row = await self._evaluate_case(produced.files, case, attempt)
        if row.reason is not None and not (
            row.reason == EVALUATOR and proposal.operator == SEED
        ):
            row = replace(
                row, score=0.0, reason=None, message="", feedback=_why_none(row)
            )
        return _with_use(row, produced)

    async def _work_of(self, case: CaseSpec) -> AgentTask:
        made: Any = await self.prepared("workspace", case)
        if made is None:
            raise EvaluatorBroken(
                f"{self.task.evaluator} has no function workspace(case)",
                'it returns {"statement": text, "files": {path: text or bytes}}',
            )
        return AgentTask(made["statement"], made["files"])

    async def close(self) -> None:
        """End scorers and boxes."""
        await super().close()
        await self._episodes.close()


def _row_or_fault(found: Evaluation | BaseException) -> Evaluation:
    if isinstance(found, BaseException):
        raise found
    return found


def _why_none(row: Evaluation) -> str:
    """Only the scorer's own words: the candidate's may repeat what it was asked by hidden tests."""
    said = f": {row.message}" if row.reason == INVALID else ""
    return f"what the agent left behind failed while it was graded ({row.reason}){said}"


def _with_use(row: Evaluation, produced: EpisodeResult) -> Evaluation:
    """What the episode has used, and the end of what the agent printed.

    The log of the grading is left out: it may hold hidden tests, and logs are shown to models.
    """
    used = produced.used
    metrics: dict[str, Any] = {
        "steps": used.steps,
        "tokens": used.tokens,
        "usd": used.usd,
        "agent_s": round(used.seconds, 3),
    } | dict(row.metrics)
    if produced.signs:
        metrics[SIGNS] = "; ".join(produced.signs)
    log = produced.log[-LOG_CHARS:] if row.reason is None else row.log
    return replace(
        row,
        metrics=metrics,
        log=log,
        cost_usd=used.usd,
        seconds=row.seconds + used.seconds,
    )
