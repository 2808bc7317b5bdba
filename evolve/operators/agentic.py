"""`agentic`: an agent modifies an agent.

A model diagnoses from results in the archive what to change. Then the editor, either
the parent itself or a fixed agent, works on a copy of the parent's tree.

After the self-modification of the Darwin Gödel Machine (Zhang et al. 2025, arXiv
2505.22954, section 3).
"""

from evolve.archive import CallPurpose, Files
from evolve.operators.base import Child, Operator, Rejected
from evolve.operators.context import Context
from evolve.operators.edits import first_words
from evolve.operators.prompting import agent_messages
from evolve.operators.showing import choose_form
from evolve.tasks import AgentSpec, AgentTask, EpisodeResult

LOG_CHARS = 1000


class Agentic(Operator):
    """An operator that asks for a diagnosis, then has an agent edit its own tree."""

    shows = ("inspirations", "lessons", "attempts")
    needs_model = True

    async def propose(self, context: Context) -> Child:
        """Ask for a diagnosis, run the editor and take its workspace.

        Args:
            context: needs `ask`, `let_work` and an agent task

        Returns:
            The edited tree, with the first words of the diagnosis as note.

        Raises:
            Rejected: not an agent task, no diagnosis, the editor failed, or the tree is
                too large
        """
        spec = context.task.spec.agent
        if spec is None or context.let_work is None or context.ask is None:
            raise Rejected(
                "agentic", 'the operator agentic is for tasks of kind = "agent"'
            )
        prompts = context.prompts
        messages = agent_messages(context, prompts, choose_form(context))
        known = CallPurpose.REPAIR if context.known else CallPurpose.PROPOSE
        reply = await context.ask(known, messages)
        # the failure belongs to the second diagnosis
        if context.note and first_words(reply.text) != context.note:
            reply = await context.ask(CallPurpose.REPAIR, messages)
        if not reply.text.strip():
            raise Rejected("no diagnosis", "the model's reply is empty")
        idea = reply.text.strip()
        parent = context.parents[0].files
        # Only the stored diagnosis goes in: a restarted editor sends the same requests.
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


def _attempt(context: Context) -> int:
    """Return 0 for the first edit, 1 after a rejected child, 2 after a failed one."""
    if context.repair is None:
        return 0
    return 2 if context.note else 1


def _checked(produced: EpisodeResult, spec: AgentSpec, note: str) -> Files:
    """Return the editor's tree.

    `check_child` checks later which files may change, as for every child.

    Raises:
        Rejected: the editor failed, or its tree is larger than `max_kb`
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
