"""Scoring of agents: an episode per case, then grading of its workspace.

Grading uses another fresh sandbox without a proxy, and the same scorer process as for
programs. A failed episode scores 0 on its case; a broken agent fails before its first
case.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evolve.agents.flags import flags_aside, flags_of_tree
from evolve.agents.runner import AgentRunner
from evolve.agents.validity import problem_of
from evolve.archive import SEED, SIGNS, Evaluation, Kind, Proposal
from evolve.evaluation.evaluator import EVALUATOR, Evaluator, EvaluatorBroken, Verdict
from evolve.models import Episode, Models
from evolve.sandbox import Pool
from evolve.tasks import AgentSpec, AgentTask, CaseSpec, EpisodeResult, Task, with_cases

# refused by candidate.fail in evaluate.py, or a broken agent
INVALID = "invalid"
LOG_CHARS = 8000


class AgentEvaluator(Evaluator):
    """Evaluator with an episode before each grading.

    Args:
        task: an agent task
        pool: sandboxes for grading
        episodes: sandboxes for episodes
        log: file for the output of scorers
        packages: folder of packages for scorers; None for none
        secret: seed of hidden inputs; None for a random one
        note: called with messages for people
    """

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
        self._runners: list[AgentRunner] = []

    @property
    def limits(self) -> AgentSpec:
        """The limits of an episode."""
        assert self.task.spec.agent is not None
        return self.task.spec.agent

    def connect(self, models: Models, reply_tokens: int, patience_s: float) -> None:
        """Set the source of answers for agents.

        Args:
            models: answers the agents' requests
            reply_tokens: limit of a reply
            patience_s: how long a fault of the sandbox is retried, in seconds
        """
        self.runner = AgentRunner(
            self._episodes, models, self.limits, reply_tokens, patience_s
        )
        self._runners.append(self.runner)

    async def complete(self) -> None:
        """Let evaluate.py generate the cases if task.toml has none.

        Raises:
            EvaluatorBroken: cases() fails or returns something that is not plain data
            TaskError: the cases are invalid
        """
        if self.task.spec.lists_cases or self.task.made_cases is not None:
            return
        made = await self.prepared("cases", self.task.spec.cases[0])
        if made is None:
            return
        try:
            text = json.dumps(made, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise EvaluatorBroken(
                f"{self.task.evaluator}: cases(): not plain data: {error}"
            ) from None
        await self.move_to(with_cases(self.task, text), self._log)

    async def evaluate(
        self,
        files: Mapping[str, bytes],
        cases: Sequence[CaseSpec],
        attempt: int = 0,
        proposal: Proposal | None = None,
    ) -> Verdict:
        """Score an agent on all cases in parallel, as sandboxes are free.

        A new agent must first pass the validity check.

        Args:
            files: the agent's tree, path -> content
            cases: cases to score
            attempt: number of the attempt
            proposal: owner of the calls; required

        Returns:
            One row per case, or one row with the reason if the agent is broken.

        Raises:
            ProviderFault: a fault of the machine; it may be retried
            EvaluatorBroken: evaluate.py can't be loaded, or has no workspace(case)
            OutOfBudget: the next call does not fit into the budget
            ModelError: no reply after all retries
        """
        assert proposal is not None, "an agent's calls belong to a proposal"
        if proposal.kind is not Kind.EVALUATE:
            problem = await problem_of(
                self.runner, proposal, files, attempt, self.limits.validity == "toy"
            )
            if problem is not None:
                return Verdict((self._invalid(cases[0], attempt, problem),))
        # A fault of one case does not cancel others: calls in flight are paid for.
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
        """Run an episode on a case, then grade it.

        Returns:
            The row of the case; only a broken evaluator on the seed leaves it without a
            score.
        """
        work = await self._work_of(case)
        produced = await self.work(proposal, f"case {case.id}", files, work, attempt)
        signs = (*await self._signs_of(files), *produced.signs)
        produced = replace(produced, signs=signs)
        return await self._graded(produced, case, attempt, proposal)

    async def _signs_of(self, files: Mapping[str, bytes]) -> list[str]:
        """Return flags in the agent's lines that the seed does not have."""
        size = sum(map(len, files.values()))
        trees = dict(self.task.seed), dict(files)
        found = await flags_aside(flags_of_tree, *trees, size=size)
        return [f"{flag.kind}: {flag.words}" for flag in found]

    async def work(
        self,
        proposal: Proposal,
        purpose: str,
        files: Mapping[str, bytes],
        work: AgentTask,
        attempt: int = 0,
    ) -> EpisodeResult:
        """Run an episode without grading. Exceptions of an episode propagate.

        Args:
            proposal: owner of the calls
            purpose: stored with the calls
            files: the agent's tree, path -> content
            work: statement and workspace
            attempt: number of the attempt

        Returns:
            The result of the episode.
        """
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
        """Run an episode on one case and grade it as another.

        Args:
            proposal: owner of the calls
            purpose: stored with the calls
            files: the agent's tree, path -> content
            worked: case of the episode
            graded: case of the grading

        Returns:
            The graded row.
        """
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
                f"{self.task.evaluator} does not define workspace(case)",
                'return {"statement": text, "files": {path: text or bytes}}',
            )
        return AgentTask(made["statement"], made["files"])

    async def close(self) -> None:
        """Close scorers and sandboxes."""
        await super().close()
        for runner in self._runners:
            await runner.close_fronts()
        await self._episodes.close()


def _row_or_fault(found: Evaluation | BaseException) -> Evaluation:
    if isinstance(found, BaseException):
        raise found
    return found


def _why_none(row: Evaluation) -> str:
    """Return feedback for a failed grading.

    It contains only the scorer's own words: output of the candidate may reveal hidden
    tests.
    """
    said = f": {row.message}" if row.reason == INVALID else ""
    return f"grading of the agent's workspace failed ({row.reason}){said}"


def _with_use(row: Evaluation, produced: EpisodeResult) -> Evaluation:
    """Return the row with the usage of the episode and the end of the agent's output.

    The log of the grading is left out: it may contain hidden tests, and models see
    logs.
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
