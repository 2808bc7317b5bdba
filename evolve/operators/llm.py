"""The model operators: each asks, applies the reply and repairs once; they differ in their prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from evolve.archive import CallPurpose
from evolve.operators.base import Child, Operator, Rejected
from evolve.operators.context import Context, Reply
from evolve.operators.edits import apply_reply, first_words
from evolve.operators.prompting import messages_for, repair_message


class ModelOperator(Operator):
    """Asks once; on the second round, with what was wrong with the first answer."""

    needs_model = True
    instruction: ClassVar[str]  # the prompt file that says how to answer
    # beside the parents
    shows: ClassVar[tuple[str, ...]] = ("rows", "inspirations", "failures")
    whole: ClassVar[bool] = True  # bare blocks of code are whole new texts

    async def propose(self, context: Context) -> Child:
        """Ask and apply the reply to the first parent. Raises `Rejected`."""
        assert context.ask is not None
        prompts = context.prompts
        messages = messages_for(
            context, prompts, self.instruction, self.shows, **self.values(context)
        )
        reply = await context.ask(CallPurpose.PROPOSE, messages)
        if context.repair is not None:
            anew = self.anew(context)
            messages += [
                {"role": "assistant", "content": reply.text or "(nothing)"},
                {"role": "user", "content": repair_message(prompts, context, anew)},
            ]
            reply = await context.ask(CallPurpose.REPAIR, messages)
            return Child(
                self.apply(reply, context, self.whole or anew), first_words(reply.text)
            )
        return Child(self.apply(reply, context, self.whole), first_words(reply.text))

    def anew(self, context: Context) -> bool:
        """Whether the second answer is asked for in another form: the whole new program."""
        return False

    def values(self, context: Context) -> dict[str, Any]:
        """What the instruction needs to know besides the task. Draws from the context's generator."""
        return {}

    def apply(self, reply: Reply, context: Context, whole: bool) -> Mapping[str, bytes]:
        """The child's files; `whole`: bare blocks of code are whole new texts. Raises `Rejected`."""
        if reply.finish_reason == "content_filter" and not reply.text.strip():
            raise Rejected("refused", "the model declined to answer")
        return apply_reply(
            reply.text,
            context.parents[0].files,
            context.task.edits,
            whole=whole,
            cut_off=reply.finish_reason == "length",
        )


SHORT_BYTES = 8000  # of an editable program that may as well be written anew


class Diff(ModelOperator):
    """Small changes of a large program."""

    name = "diff"
    instruction = "diff.j2"
    whole = False

    def anew(self, context: Context) -> bool:
        """Who could not copy lines seldom can the next time; a short program is soon written."""
        files = context.parents[0].files
        return (
            sum(len(files[path]) for path in context.task.edits.within(files))
            <= SHORT_BYTES
        )


VARIANTS = 5  # of the instruction, in rewrite.j2


class Rewrite(ModelOperator):
    """A new program in place of the old one, asked for in one of several ways."""

    name = "rewrite"
    instruction = "rewrite.j2"

    def values(self, context: Context) -> dict[str, Any]:
        return {"variant": int(context.rng.integers(VARIANTS))}


class Crossover(ModelOperator):
    """The first parent with what the second one does better."""

    name = "crossover"
    parents = 2
    shows = ("rows",)
    instruction = "crossover.j2"


class Refine(ModelOperator):
    """A change that none of the earlier attempts made."""

    name = "refine"
    shows = ("rows", "tried", "failures")
    instruction = "refine.j2"


class Simplify(ModelOperator):
    """Less of the same."""

    name = "simplify"
    shows = ("rows", "failures")
    instruction = "simplify.j2"


class ExplainThenChange(ModelOperator):
    """Says what decides the score before it touches anything."""

    name = "explain_then_change"
    shows = ("rows", "lessons", "failures")
    instruction = "explain_then_change.j2"

    def values(self, context: Context) -> dict[str, Any]:
        return {"learned": bool(context.evidence.lessons)}
