"""`agentic`: an agent is changed by an agent. A model says from the archive's evidence what should be
changed; then the editor, the parent itself or a fixed one, works on a copy of the parent's tree.

After the self-modification of the Darwin Gödel Machine (Zhang et al. 2025, arXiv 2505.22954, 3).
"""

from __future__ import annotations

from collections.abc import Mapping

from evolve.archive import CallPurpose
from evolve.operators.base import Child, Operator, Rejected
from evolve.operators.context import AskModel, Context
from evolve.operators.edits import first_words
from evolve.operators.prompting import agent_messages
from evolve.operators.showing import choose_evidence
from evolve.operators.templates import Prompts
from evolve.tasks import AgentSpec, AgentTask, EpisodeResult

LOG_CHARS = 1000


class Agentic(Operator):
    """Diagnosis first, then an episode on the agent's own tree."""

    name = "agentic"
    needs_model = True

    async def propose(self, context: Context) -> Child:
        """Ask for a diagnosis, let the editor work, take its workspace. Raises `Rejected`."""
        spec = context.task.spec.agent
        if spec is None or context.let_work is None or context.ask is None:
            raise Rejected(
                "agentic", 'the operator agentic is for tasks of kind = "agent"'
            )
        prompts = context.prompts
        idea = await _idea(context, context.ask, prompts)
        parent = context.parents[0].files
        # Nothing but the stored diagnosis goes in: after a restart the editor asks the same again.
        statement = prompts.render(
            "edit_agent.j2",
            diagnosis=idea,
            task=context.task,
            spec=spec,
            problem=None if context.known else context.repair,
        )
        editor = parent if spec.editor == "parent" else context.task.seed
        produced = await context.let_work(
            _attempt(context), editor, AgentTask(statement, parent)
        )
        return Child(_checked(produced, spec, first_words(idea)), first_words(idea))


async def _idea(context: Context, ask: AskModel, prompts: Prompts) -> str:
    """What should be changed: another one where the first was tried before. Raises `Rejected`."""
    messages = agent_messages(context, prompts, choose_evidence(context))
    known = CallPurpose.REPAIR if context.known else CallPurpose.PROPOSE
    reply = await ask(known, messages)
    # what failed is the other one's
    if context.note and first_words(reply.text) != context.note:
        reply = await ask(CallPurpose.REPAIR, messages)
    if not reply.text.strip():
        raise Rejected("no diagnosis", "the model said nothing")
    return reply.text.strip()


def _attempt(context: Context) -> int:
    """0: the first edit; 1: that of a child that was turned away; 2: of one that has failed."""
    if context.repair is None:
        return 0
    return 2 if context.note else 1


def _checked(
    produced: EpisodeResult, spec: AgentSpec, note: str
) -> Mapping[str, bytes]:
    """The tree that the editor left behind. Raises `Rejected`.

    Which files may change is checked where that of every child is.
    """
    if produced.reason is not None:
        log = produced.log[-LOG_CHARS:]
        raise Rejected(
            "editor", f"{produced.reason}: {produced.message}\n{log}".strip(), note
        )
    size = sum(map(len, produced.files.values()))
    if size > spec.max_kb * 1024:
        raise Rejected(
            "size", f"the agent has {size:,} bytes; max_kb = {spec.max_kb}", note
        )
    return produced.files
