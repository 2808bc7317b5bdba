"""From a decision to a stored child: parents and evidence, operator, checks, git; and one repair."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from evolve.archive import (
    PERSON,
    CallPurpose,
    Evaluation,
    Proposal,
    State,
    hint_text,
)
from evolve.engine.concurrency import FairYield
from evolve.engine.services import RunEpisode, Services
from evolve.evaluation.evaluator import Verdict
from evolve.models import (
    Interrupted,
    ModelError,
    ModelFault,
    OutOfBudget,
    as_text,
)
from evolve.operators import (
    AskModel,
    Attempt,
    Child,
    Context,
    Evidence,
    Lesson,
    Operator,
    Parent,
    Rejected,
    Reply,
    RunAgent,
    Tried,
)
from evolve.operators.checks import check_child
from evolve.plugins import plugin_error, plugin_errors
from evolve.search import Evaluate, Expand
from evolve.tasks import AgentTask, EpisodeResult

LOG_CHARS = 1500
DUPLICATE = "duplicate"


class NoveltyGate(NamedTuple):
    """Children nearer than `distance` to a variant are turned away, unless the judge lets them pass."""

    distance: float = 0.0
    judge: str | None = None


class StoredChild(NamedTuple):
    """A child that is in git, and its files."""

    proposal: Proposal
    files: Mapping[str, bytes]


class Proposer:
    """Makes children of planned proposals."""

    def __init__(
        self,
        services: Services,
        operators: Mapping[str, Operator],
        run_episode: RunEpisode | None = None,
        gate: NoveltyGate | None = None,
    ) -> None:
        """Prepare to make children.

        Args:
            services: what all parts of the run share.
            operators: by name.
            run_episode: how agents work, where agents evolve.
            gate: which children are rejected as too near; None for all that differ.
        """
        self.task, self._prompts = services.task, services.prompts
        self._seed, self._repairs = services.settings.seed, services.settings.repairs
        self._recorder, self._models = services.recorder, services.models
        self._order, self._operators = services.ordering, operators
        self._run_episode, self._gate = run_episode, gate or NoveltyGate()
        asks = any(operator.needs_model for operator in operators.values())
        settings = services.settings
        self.model_slots = settings.model_calls * settings.samples if asks else 0
        self._turns = FairYield()

    def shows(self, action: Expand | Evaluate) -> Collection[str]:
        """Return the kinds of prompt context that the operator of a decision shows."""
        if isinstance(action, Evaluate):
            return ()
        return self._operators[action.operator].shows

    async def propose(self, proposal: Proposal) -> StoredChild:
        """Make and store the child; a model's unusable answer is fed back once. Raises `Rejected`."""
        context = await self._context(proposal)
        try:
            return await self._store(proposal, context, CallPurpose.PROPOSE)
        except Rejected as why:
            asked = self._operators[proposal.operator].needs_model and self._repairs > 0
            if not asked or why.reason == "prompt":
                raise
            known = Attempt(why.note, f"{why.reason}: {why.message}")
            evidence = replace(
                context.evidence, attempts=(known, *context.evidence.attempts)
            )
            again = replace(
                context,
                repair=why.message,
                rng=self._rng(proposal),
                evidence=evidence,
                known=why.reason == DUPLICATE,
            )
            return await self._store(proposal, again, CallPurpose.REPAIR)

    async def repair(self, proposal: Proposal, verdict: Verdict) -> StoredChild | None:
        """Feed the failure of a model's child back, once; None when there is nothing new to try."""
        failed = verdict.failed
        operator = self._operators.get(proposal.operator)
        if (
            failed is None
            or failed.attempt > 0
            or operator is None
            or not operator.needs_model
        ):
            return None
        if self._repairs == 0:
            return None
        problem = (
            f"{failed.reason}: {failed.message}\n{failed.log[-LOG_CHARS:]}".strip()
        )
        context = await self._context(proposal)
        rows = tuple(
            replace(row, reason=row.reason or "replaced") for row in verdict.rows
        )
        try:
            return await self._store(
                proposal,
                replace(context, repair=problem, note=proposal.note),
                CallPurpose.REPAIR,
                rows,
            )
        except Rejected:
            return None  # the first child stands, and has failed

    async def _store(
        self,
        proposal: Proposal,
        context: Context,
        purpose: CallPurpose,
        rows: tuple[Evaluation, ...] = (),
    ) -> StoredChild:
        """`rows` are those of the child that is replaced; they are kept in the same transaction."""
        child = await self._made(self._operators[proposal.operator], context)
        try:
            tree = await self._checked(proposal, context, child, purpose)
        except Rejected as why:
            raise Rejected(why.reason, why.message, child.note) from None
        return StoredChild(
            await self._recorder.propose(proposal, tree, child.note, rows), child.files
        )

    async def _made(self, operator: Operator, context: Context) -> Child:
        """What the operator, which may be anyone's, makes. Raises `Rejected` and `RunError`."""
        with plugin_errors("operator", operator):
            child = await operator.propose(context)
        if not isinstance(child, Child) or not all(
            isinstance(content, bytes) for content in child.files.values()
        ):
            raise plugin_error(
                "operator",
                operator,
                f"returned {str(child)[:80]}",
                "propose() returns Child(files, note); the files are bytes",
            )
        return child

    async def _checked(
        self, proposal: Proposal, context: Context, child: Child, purpose: CallPurpose
    ) -> str:
        """The child's tree: changed, new and within bounds. Raises `Rejected`."""
        check_child(self.task, context.parents, child)
        tree = await self._recorder.tree_of(child.files)
        if tree == proposal.tree:
            raise Rejected("unchanged", "the repair gives the same files again")
        known = self._order.early(proposal, tree, purpose)
        if known is not None:
            raise Rejected(
                DUPLICATE, f"the same files as {known}, which was tried before"
            )
        await self._check_novelty(proposal, context, child, purpose)
        return tree

    async def _check_novelty(
        self, proposal: Proposal, context: Context, child: Child, purpose: CallPurpose
    ) -> None:
        """Before it costs an evaluation. Raises `Rejected`."""
        if not self._gate.distance or proposal.operator == PERSON:
            return
        recorder, settled = self._recorder, proposal.decision.settled
        near = await recorder.vectors.nearest(
            recorder.snapshot, proposal, child.files, settled
        )
        if near is None or near.distance >= self._gate.distance:
            return
        first = await self._recorder.files_of(near.proposal)
        if not await self._differ(proposal, context, (first, child.files), purpose):
            raise Rejected(
                "not novel",
                f"its code is {near.distance:.6f} from {near.proposal}, "
                f"nearer than novelty_gate = {self._gate.distance:g}",
            )

    async def _differ(
        self,
        proposal: Proposal,
        context: Context,
        programs: tuple[Mapping[str, bytes], Mapping[str, bytes]],
        purpose: CallPurpose,
    ) -> bool:
        """What the judge says of two programs; where there is none to be had, they do not."""
        if self._gate.judge is None:
            return False
        first, second = map(as_text, programs)
        question = self._prompts.render("judge.j2", first=first, second=second)
        messages = [
            {"role": "system", "content": self._prompts.render("system.j2")},
            {"role": "user", "content": question},
        ]
        try:
            answer = await self._models.ask(
                proposal,
                CallPurpose.JUDGE,
                messages,
                model=self._gate.judge,
                step=int(purpose is CallPurpose.REPAIR),
            )
        except Interrupted:
            raise  # no answer is no judgement
        except (OutOfBudget, ModelError):
            return False
        return "DIFFERENT" in answer.text.upper() and "SAME" not in answer.text.upper()

    async def _context(self, proposal: Proposal) -> Context:
        parents = tuple(
            [await self._known(proposal, parent) for parent in proposal.parents]
        )
        rng = self._rng(proposal)
        if not self._operators[proposal.operator].needs_model:
            return Context(self.task, parents, rng, ask=self._ask_for(proposal))
        return Context(
            self.task,
            parents,
            rng,
            await self._evidence(proposal),
            self._ask_for(proposal),
            prompts=self._prompts,
            let_work=self._work_for(proposal),
        )

    async def _known(self, proposal: Proposal, variant: str) -> Parent:
        """A variant as the decision knew it."""
        return await self._recorder.parent(variant, proposal.as_of_event)

    def _rng(self, proposal: Proposal) -> np.random.Generator:
        """The proposal's own, or that of those who share its prompt.

        Every question of it begins with the same draws.
        """
        number = (proposal.decision.shared or (proposal.number,))[0]
        return np.random.default_rng([self._seed, number, 1])

    async def _evidence(self, proposal: Proposal) -> Evidence:
        """What was known when it was decided, whatever has happened since."""
        decided = proposal.decision
        inspirations = [
            await self._known(proposal, found) for found in decided.inspirations
        ]
        failures = [await self._recorder.proposal(found) for found in decided.failures]
        tried = [await self._known(proposal, found) for found in decided.tried]
        lessons = [
            Lesson(
                await self._known(proposal, before), await self._known(proposal, after)
            )
            for before, after in decided.lessons
        ]
        attempts = [
            _attempt(await self._recorder.proposal(found)) for found in decided.attempts
        ]
        notes, hints = decided.notes, decided.hints
        return Evidence(
            tuple(inspirations),
            tuple(failures),
            tuple(lessons),
            tuple(Tried(child.proposal.note, child.score) for child in tried),
            "" if notes is None else await self._recorder.notes(notes),
            "" if hints is None else hint_text(self._recorder.archive, hints),
            tuple(attempts),
        )

    def _work_for(self, proposal: Proposal) -> RunAgent | None:
        run_episode = self._run_episode
        if run_episode is None:
            return None

        async def let_work(
            attempt: int, agent: Mapping[str, bytes], work: AgentTask
        ) -> EpisodeResult:
            return await run_episode(proposal, attempt, agent, work)

        return let_work

    def _ask_for(self, proposal: Proposal) -> AskModel:
        async def ask(purpose: CallPurpose, messages: list[dict[str, str]]) -> Reply:
            try:
                answer = await self._models.ask(proposal, purpose, messages)
            except ModelError as error:
                if error.fault is ModelFault.PROMPT:
                    raise Rejected("prompt", error.message) from None
                raise
            await self._turns.turn()
            return Reply(answer.text, answer.finish_reason)

        return ask


def _attempt(child: Proposal) -> Attempt:
    """In words, without its score, which may be known better later on."""
    if child.state is State.SCORED:
        return Attempt(
            child.note, "better" if (child.improvement or 0.0) > 0.0 else "not better"
        )
    return Attempt(child.note, f"{child.reason}: {child.message}")
