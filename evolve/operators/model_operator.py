"""What operators that ask a model share: question, stored reply, edit, and one repair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from evolve.operators.operator import Child, Context, Operator, Rejected, Reply
from evolve.operators.prompting import messages_for, repair_message

NOTE_CHARS = 200


class ModelOperator(Operator):
    """Asks once; on the second round, with what was wrong with the first answer."""

    needs_model = True
    instruction: ClassVar[str]  # the prompt file that says how to answer

    async def propose(self, context: Context) -> Child:
        """Ask and apply the reply to the first parent. Raises `Rejected`."""
        assert context.ask is not None
        messages = messages_for(context, self.instruction)
        reply = await context.ask(0, messages)
        if context.repair is not None:
            messages += [{"role": "assistant", "content": reply.text or "(nothing)"},
                         {"role": "user", "content": repair_message(context.repair)}]
            reply = await context.ask(1, messages)
        self._refuse_broken(reply)
        return Child(self.apply(reply.text, context), first_words(reply.text))

    def _refuse_broken(self, reply: Reply) -> None:
        if not reply.text.strip():
            raise Rejected("empty", "the reply is empty")
        if reply.finish_reason == "length":
            raise Rejected("truncated", "the reply was cut off at the token limit; answer shorter")

    def apply(self, reply: str, context: Context) -> Mapping[str, bytes]:
        """The child's files. Raises `Rejected`."""
        raise NotImplementedError


def first_words(reply: str) -> str:
    """What the model says it did: the first line that is no code."""
    for line in reply.splitlines():
        if line.strip() and not line.strip().startswith(("```", "<<<", "#")):
            return line.strip()[:NOTE_CHARS]
    return ""
