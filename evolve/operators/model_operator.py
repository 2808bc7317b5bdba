"""What operators that ask a model share: question, stored reply, edit, and one repair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from evolve.operators.context import Context, Reply
from evolve.operators.edits import apply_reply, first_words
from evolve.operators.operator import Child, Operator, Rejected
from evolve.operators.prompting import messages_for, repair_message


class ModelOperator(Operator):
    """Asks once; on the second round, with what was wrong with the first answer."""

    needs_model = True
    instruction: ClassVar[str]  # the prompt file that says how to answer
    shows: ClassVar[tuple[str, ...]] = ("rows", "inspirations", "failures")  # beside the parents
    whole: ClassVar[bool] = True  # bare blocks of code are whole new texts

    async def propose(self, context: Context) -> Child:
        """Ask and apply the reply to the first parent. Raises `Rejected`."""
        assert context.ask is not None
        prompts = context.prompts
        messages = messages_for(context, prompts, self.instruction, self.shows,
                                **self.values(context))
        reply = await context.ask(0, messages)
        if context.repair is not None:
            anew = self.anew(context)
            messages += [{"role": "assistant", "content": reply.text or "(nothing)"},
                         {"role": "user", "content": repair_message(prompts, context, anew)}]
            reply = await context.ask(1, messages)
            return Child(self.apply(reply, context, self.whole or anew), first_words(reply.text))
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
        return apply_reply(reply.text, context.parents[0].files, context.task.edits,
                           whole=whole, cut_off=reply.finish_reason == "length")
