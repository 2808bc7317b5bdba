"""From a decision to a stored child: prompt context, operator, checks, git, one repair."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from evolve.archive import (
    PERSON,
    CallPurpose,
    Evaluation,
    Files,
    Proposal,
    Reply,
    State,
    hint_text,
)
from evolve.engine.concurrency import FairYield
from evolve.engine.services import RunEpisode, Services
from evolve.evaluation.evaluator import Verdict
from evolve.models import Interrupted, ModelError, ModelFault, OutOfBudget, as_text
from evolve.operators import (
    AskModel,
    Attempt,
    Child,
    Context,
    Lesson,
    Operator,
    Parent,
    PromptContext,
    Rejected,
    Tried,
)
from evolve.operators.checks import check_child
from evolve.operators.listing import SIDE_SHARE, sides_of_change
from evolve.plugins import plugin_error, plugin_errors
from evolve.search import Evaluate, Expand

LOG_CHARS = 1500  # end of a candidate's log that a repair prompt shows
DUPLICATE = "duplicate"


class NoveltyGate(NamedTuple):
    """A novelty threshold, which children must pass before they are evaluated.

    Attributes:
        distance: Children nearer than this to a variant are rejected; cosine distance,
            0: no threshold.
        judge: Model that may still accept such a child as different; None: no judge.
    """

    distance: float = 0.0
    judge: str | None = None


class StoredChild(NamedTuple):
    """A child that is in git.

    Attributes:
        proposal: Its proposal, with tree and commit.
        files: Path -> content.
    """

    proposal: Proposal
    files: Files


class _TooLong(Rejected):
    """The prompt does not fit into the model's context."""


class Proposer:
    """Produces and stores the children of planned proposals.

    Args:
        services: The services that all parts of the run share.
        operators: Operators by name.
        run_episode: Runs an agent; None except in agent tasks.
        gate: Novelty threshold; None: accept all children that differ.

    Attributes:
        model_slots: Maximum number of parallel samples; 0: no operator asks a model.
        gave_program: Whether a child has passed the checks.
    """

    def __init__(
        self,
        services: Services,
        operators: Mapping[str, Operator],
        run_episode: RunEpisode | None = None,
        gate: NoveltyGate | None = None,
    ) -> None:
        self.task, self._prompts = services.task, services.prompts
        self._seed, self._repairs = services.settings.seed, services.settings.repairs
        self._recorder, self._models = services.recorder, services.models
        self._order, self._operators = services.ordering, operators
        self._run_episode, self._gate = run_episode, gate or NoveltyGate()
        asks = any(operator.needs_model for operator in operators.values())
        settings = services.settings
        self.model_slots = settings.model_calls * settings.samples if asks else 0
        self._turns, self.gave_program = FairYield(), False

    def shows(self, action: Expand | Evaluate) -> Collection[str]:
        """Return the kinds of prompt context that the operator of a decision shows."""
        if isinstance(action, Evaluate):
            return ()
        return self._operators[action.operator].shows

    async def propose(self, proposal: Proposal) -> StoredChild:
        """Produce and store a child; feed an unusable answer of a model back once.

        Args:
            proposal: A planned proposal.

        Returns:
            The stored child.

        Raises:
            Rejected: There is no usable child, or it is a duplicate or not novel.
            RunError: The operator failed.
            OutOfBudget: A call does not fit into the budget.
        """
        context = await self._context(proposal)
        try:
            return await self._first(proposal, context)
        except Rejected as why:
            asked = self._operators[proposal.operator].needs_model and self._repairs > 0
            if not asked or why.reason == "prompt":
                raise
            known = Attempt(why.note, f"{why.reason}: {why.message}")
            earlier = context.prompt_context
            again = replace(
                context,
                repair=why.message,
                rng=self._rng(proposal),
                prompt_context=replace(earlier, attempts=(known, *earlier.attempts)),
                known=why.reason == DUPLICATE,
            )
            return await self._store(proposal, again, CallPurpose.REPAIR)

    async def _first(self, proposal: Proposal, context: Context) -> StoredChild:
        """Store the first child; a prompt that is too long is made once more, and fits.

        Returns:
            The stored child.

        Raises:
            Rejected: There is no usable child.
        """
        try:
            return await self._store(proposal, context, CallPurpose.PROPOSE)
        except _TooLong:  # the model's context may have become known just now
            return await self._store(
                proposal, await self._context(proposal), CallPurpose.PROPOSE
            )

    async def repair(self, proposal: Proposal, verdict: Verdict) -> StoredChild | None:
        """Feed the failure of a model's child back, once.

        Args:
            proposal: The proposal of the failed child.
            verdict: Its evaluation.

        Returns:
            The child that replaces it; None if it did not fail, was repaired before, no
            model is asked, repairs are off, or the new answer is unusable.

        Raises:
            RunError: The operator failed.
            OutOfBudget: A call does not fit into the budget.
        """
        failed = verdict.failed
        operator = self._operators.get(proposal.operator)
        if failed is None or failed.attempt > 0 or self._repairs == 0:
            return None
        if operator is None or not operator.needs_model:
            return None
        if not self._order.repairs(proposal):
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
            return None  # the first child is kept as failed

    async def _store(
        self,
        proposal: Proposal,
        context: Context,
        purpose: CallPurpose,
        rows: tuple[Evaluation, ...] = (),
    ) -> StoredChild:
        """Produce, check and store a child.

        Args:
            proposal: The proposal.
            context: Input of the operator.
            purpose: `PROPOSE` for a first child, `REPAIR` for its replacement.
            rows: Evaluations of the replaced child, stored in the same transaction.

        Returns:
            The stored child.

        Raises:
            Rejected: The child is unusable; with the note of the operator.
        """
        child = await self._made(self._operators[proposal.operator], context)
        try:
            tree = await self._checked(proposal, context, child, purpose)
        except Rejected as why:
            raise Rejected(why.reason, why.message, child.note) from None
        self.gave_program = True
        return StoredChild(
            await self._recorder.propose(proposal, tree, child.note, rows), child.files
        )

    async def _made(self, operator: Operator, context: Context) -> Child:
        """Call the operator, which may be a third-party plugin, and check its result's type.

        Returns:
            The operator's child; which files it changes is not checked yet.

        Raises:
            Rejected: The operator has no usable child.
            RunError: The operator failed, or returned something else.
        """
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
        """Return the tree of a child that is changed, new and within bounds.

        Raises:
            Rejected: It is not.
        """
        await check_child(self.task, context.parents, child)
        tree = await self._recorder.tree_of(child.files)
        if tree == proposal.tree:
            raise Rejected("unchanged", "the repair gives the same files again")
        known = self._order.early(proposal, tree, purpose)
        if known is not None:
            raise Rejected(
                DUPLICATE, f"the same files as {known}, which was tried before"
            )
        await self._check_novelty(proposal, child, purpose)
        return tree

    async def _check_novelty(
        self, proposal: Proposal, child: Child, purpose: CallPurpose
    ) -> None:
        """Check the novelty of a child before it costs an evaluation.

        Raises:
            Rejected: The child is too near to a variant, and the judge does not accept it.
        """
        if not self._gate.distance or proposal.operator == PERSON:
            return
        recorder, settled = self._recorder, proposal.decision.settled
        near = await recorder.vectors.nearest(
            recorder.snapshot, proposal, child.files, settled
        )
        if near is None or near.distance >= self._gate.distance:
            return
        first = await self._recorder.files_of(near.proposal)
        if not await self._differ(proposal, (first, child.files), purpose):
            raise Rejected(
                "not novel",
                f"its code is {near.distance:.6f} from {near.proposal}, "
                f"nearer than novelty_gate = {self._gate.distance:g}",
            )

    async def _differ(
        self, proposal: Proposal, programs: tuple[Files, Files], purpose: CallPurpose
    ) -> bool:
        """Ask the judge whether two programs differ; False without a judge or an answer."""
        if self._gate.judge is None:
            return False
        prompts = self._prompts
        first, second = map(as_text, programs)
        if (
            prompts.count(first) + prompts.count(second)
            > 2 * SIDE_SHARE * prompts.tokens
        ):
            first, second = sides_of_change(*programs, prompts)
        question = prompts.render("judge.j2", first=first, second=second)
        messages = prompts.chat(question)
        try:
            answer = await self._models.ask(
                proposal,
                CallPurpose.JUDGE,
                messages,
                model=self._gate.judge,
                step=int(purpose is CallPurpose.REPAIR),
            )
        except Interrupted:
            raise  # a missing answer is not a judgement
        except (OutOfBudget, ModelError):
            return False
        return "DIFFERENT" in answer.text.upper() and "SAME" not in answer.text.upper()

    async def _context(self, proposal: Proposal) -> Context:
        context = Context(
            self.task,
            await self._known(proposal, proposal.parents),
            self._rng(proposal),
            ask=self._ask_for(proposal),
            literals=proposal.decision.literals,
        )
        if not self._operators[proposal.operator].needs_model:
            return context
        run_episode = self._run_episode
        return replace(
            context,
            prompt_context=await self._prompt_context(proposal),
            prompts=self._prompts.within(self._models.prompt_room(proposal)),
            let_work=run_episode and partial(run_episode, proposal),
        )

    async def _known(
        self, proposal: Proposal, variants: Iterable[str]
    ) -> tuple[Parent, ...]:
        """Return variants as of the decision."""
        event = proposal.as_of_event
        return tuple([await self._recorder.parent(found, event) for found in variants])

    def _rng(self, proposal: Proposal) -> np.random.Generator:
        """Return a new generator for a proposal, the same for all that share its prompt.

        Each question about the proposal starts with the same draws.
        """
        number = (proposal.decision.shared or (proposal.number,))[0]
        return np.random.default_rng([self._seed, number, 1])

    async def _prompt_context(self, proposal: Proposal) -> PromptContext:
        """Return what the prompt shows as of the decision, without later results."""
        decided, read = proposal.decision, self._recorder.proposal
        notes, hints = decided.notes, decided.hints
        tried = await self._known(proposal, decided.tried)
        lessons = [
            Lesson(*await self._known(proposal, pair)) for pair in decided.lessons
        ]
        return PromptContext(
            await self._known(proposal, decided.inspirations),
            tuple([await read(found) for found in decided.failures]),
            tuple(lessons),
            tuple(Tried(child.proposal.note, child.score) for child in tried),
            "" if notes is None else await self._recorder.notes(notes),
            "" if hints is None else hint_text(self._recorder.archive, hints),
            tuple([_attempt(await read(found)) for found in decided.attempts]),
        )

    def _ask_for(self, proposal: Proposal) -> AskModel:
        async def ask(purpose: CallPurpose, messages: list[dict[str, str]]) -> Reply:
            try:
                answer = await self._models.ask(proposal, purpose, messages)
            except ModelError as error:
                if error.fault is ModelFault.PROMPT:
                    kind = _TooLong if error.too_long else Rejected
                    raise kind("prompt", error.message) from None
                raise
            await self._turns.turn()
            return answer

        return ask


def _attempt(child: Proposal) -> Attempt:
    """Describe a child without its score, which later evaluations may change."""
    if child.state is State.SCORED:
        return Attempt(
            child.note, "better" if (child.improvement or 0.0) > 0.0 else "not better"
        )
    return Attempt(child.note, f"{child.reason}: {child.message}")
