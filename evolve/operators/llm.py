"""The model operators. Each asks, applies the reply and repairs it once.

They differ in their prompts.
"""

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from evolve.archive import CallPurpose, Files, Reply
from evolve.operators.asked_for import asked_for
from evolve.operators.base import Child, Operator, Rejected
from evolve.operators.context import Context
from evolve.operators.edits import apply_aside, first_words
from evolve.operators.prompting import question_for, repair_message
from evolve.text import Data


class ModelOperator(Operator):
    """Base of operators that ask a model once, and once more to repair the answer.

    Attributes:
        instruction: template that describes the form of the answer
        whole: fenced code blocks are whole new files
    """

    needs_model = True
    instruction: ClassVar[str]
    shows: tuple[str, ...] = ("inspirations", "failures")
    whole: ClassVar[bool] = True

    async def propose(self, context: Context) -> Child:
        """Ask and apply the reply to the first parent.

        Args:
            context: needs `ask`; `repair` is set in the second round

        Returns:
            The child, with the first words of the reply as note.

        Raises:
            Rejected: the reply can't be applied
        """
        assert context.ask is not None
        prompts = context.prompts
        question = question_for(
            context, prompts, self.instruction, self.shows, **self.values(context)
        )
        messages = question.messages
        reply = await context.ask(CallPurpose.PROPOSE, messages)
        wanted = asked_for(reply.text) if question.parts else ()
        if context.repair is not None and wanted:
            again = replace(prompts, answers=False)
            question = question_for(
                context,
                again,
                self.instruction,
                self.shows,
                wanted,
                **self.values(context),
            )
            reply = await context.ask(CallPurpose.REPAIR, question.messages)
            files = await self.apply(reply, context, self.whole)
        elif context.repair is not None:
            anew = self.anew(context)
            problem = repair_message(prompts, context, anew, question.parts)
            messages += [
                {"role": "assistant", "content": reply.text or "(nothing)"},
                {"role": "user", "content": problem},
            ]
            reply = await context.ask(CallPurpose.REPAIR, messages)
            files = await self.apply(reply, context, self.whole or anew)
        else:
            files = await self.apply(reply, context, self.whole)
        return Child(files, first_words(reply.text))

    def anew(self, context: Context) -> bool:
        """Return whether the second answer must be a whole new program.

        Args:
            context: of the second round

        Returns:
            False: the same format as the first answer.
        """
        return False

    def values(self, context: Context) -> Data:
        """Return values for the template, in addition to the task.

        Args:
            context: its generator may be used

        Returns:
            Names and values.
        """
        return {}

    async def apply(self, reply: Reply, context: Context, whole: bool) -> Files:
        """Apply a reply to the first parent.

        Args:
            reply: the stored reply
            context: the first parent and the task
            whole: fenced code blocks are whole new files

        Returns:
            The child's tree.

        Raises:
            Rejected: the model refused, or the reply can't be applied
        """
        if reply.finish_reason == "content_filter" and not reply.text.strip():
            raise Rejected("refused", "the model declined to answer")
        return await apply_aside(
            reply.text,
            context.parents[0].files,
            context.task.edits,
            whole=whole,
            cut_off=reply.finish_reason == "length",
        )


class Diff(ModelOperator):
    """Small changes to a large program."""

    instruction = "diff.j2"
    whole = False

    class Params(Operator.Params):
        """Parameters of `diff`."""

        short_bytes: int = Field(
            8000,
            ge=0,
            description="programs up to this size are repaired as a whole, in bytes",
        )

    params: Params

    def anew(self, context: Context) -> bool:
        """Return whether the program is short enough to be rewritten as a whole.

        A model that could not copy lines seldom succeeds the second time.

        Args:
            context: of the second round

        Returns:
            True up to `short_bytes` of editable files.
        """
        files = context.parents[0].files
        return (
            sum(len(files[path]) for path in context.task.edits.within(files))
            <= self.params.short_bytes
        )


VARIANTS = 5  # variants of the instruction in rewrite.j2


class Rewrite(ModelOperator):
    """A new program in place of the old one, requested in one of several ways."""

    instruction = "rewrite.j2"

    def values(self, context: Context) -> Data:
        """Return a randomly chosen variant of the instruction.

        Args:
            context: its generator is used

        Returns:
            `variant`, from 0 to `VARIANTS` - 1.
        """
        return {"variant": int(context.rng.integers(VARIANTS))}


class Crossover(ModelOperator):
    """The first parent, combined with the strengths of the second."""

    parents = 2
    shows = ()
    instruction = "crossover.j2"


class Refine(ModelOperator):
    """A change that differs from all earlier attempts."""

    shows = ("tried", "failures")
    instruction = "refine.j2"


class Simplify(ModelOperator):
    """The same program with less code."""

    shows = ("failures",)
    instruction = "simplify.j2"


class ExplainThenChange(ModelOperator):
    """A change after an explanation of the program's score."""

    shows = ("lessons", "failures")
    instruction = "explain_then_change.j2"

    def values(self, context: Context) -> Data:
        """Return whether there are lessons to show.

        Args:
            context: with its prompt context

        Returns:
            `learned`.
        """
        return {"learned": bool(context.prompt_context.lessons)}
