"""`reflect`: a model reads results and rewrites one of the prompts.

One call and one file: a model that is too small to change code can still change an
agent. After the reflective mutation of prompts in GEPA (Agrawal et al. 2025, arXiv
2507.19457, section 3).
"""

import re
from collections.abc import Sequence

from evolve.archive import CallPurpose, Files, Reply
from evolve.operators.base import Child, Operator, Rejected
from evolve.operators.context import Context
from evolve.operators.edits import first_words
from evolve.operators.prompting import agent_messages
from evolve.operators.showing import choose_form

SUFFIXES = (".md", ".txt", ".j2", ".prompt")
NEW_TEXT = re.compile(
    r"<new_text>[ \t]*\n(.*?)(^</new_text>|\Z)", re.DOTALL | re.MULTILINE
)
# placeholders that the program fills in: {files}, {{ files }}
GAP = re.compile(r"\{[a-z_]+\}|\{\{[^{}]*\}\}")


class Reflect(Operator):
    """An operator that rewrites one randomly chosen prompt."""

    shows = ("inspirations", "lessons", "attempts")
    needs_model = True

    async def propose(self, context: Context) -> Child:
        """Ask for the new text, and once more to repair it.

        Args:
            context: needs `ask`; `repair` is set in the second round

        Returns:
            The child with the new text.

        Raises:
            Rejected: no prompt is editable, or the reply has no usable text
        """
        assert context.ask is not None
        files = context.parents[0].files
        paths = prompts_of(context.task.edits.within(files))
        if not paths:
            raise Rejected(
                "reflect",
                f"no prompt is editable: a file ending in {', '.join(SUFFIXES)}",
            )
        path = paths[int(context.rng.integers(len(paths)))]
        old = files[path].decode()
        messages = agent_messages(
            context,
            context.prompts,
            choose_form(context),
            "reflect.j2",
            path=path,
            old=old,
            gaps=sorted(set(GAP.findall(old))),
        )
        reply = await context.ask(CallPurpose.PROPOSE, messages)
        if context.repair is not None:
            messages += [
                {"role": "assistant", "content": reply.text or "(nothing)"},
                {"role": "user", "content": context.repair},
            ]
            reply = await context.ask(CallPurpose.REPAIR, messages)
        note = note_of(reply.text) or f"{path} is rewritten"
        return Child(_with(files, path, new_text(reply, old, note)), note)


def prompts_of(paths: Sequence[str]) -> list[str]:
    """Return the files that hold text for a model rather than code.

    Args:
        paths: editable files

    Returns:
        Those that end in one of `SUFFIXES`.
    """
    return [path for path in paths if path.endswith(SUFFIXES)]


def note_of(text: str) -> str:
    """Return the model's own line on its change.

    Args:
        text: the reply

    Returns:
        The first line before the new text; empty if there is none.
    """
    said = text.partition("<new_text>")[0].strip()
    return first_words(re.sub(r"\AWHAT CHANGES:\s*(one sentence\s)?", "", said).strip())


def new_text(reply: Reply, old: str, note: str = "") -> str:
    """Return the new text of the prompt.

    Args:
        reply: text between <new_text> and </new_text>; the end mark may be missing if
            the model stopped by itself
        old: the old text of the prompt
        note: the model's line on its change, for the exception

    Returns:
        The text with one final line end.

    Raises:
        Rejected: no marks, an empty text, or a placeholder of `old` is missing
    """
    found, cut_off = NEW_TEXT.search(reply.text), reply.finish_reason == "length"
    if found is None or (cut_off and not found[2]):
        cut = " (the answer was cut off)" if cut_off else ""
        raise Rejected(
            "no text",
            "Write the whole new text between a line <new_text> and a line "
            f"</new_text>.{cut}",
            note,
        )
    text = found[1].rstrip() + "\n"
    lost = sorted(set(GAP.findall(old)) - set(GAP.findall(text)))
    if lost or not text.strip():
        raise Rejected(
            "gap lost",
            f"The new text must contain {', '.join(lost) or 'something'}: the "
            "program replaces it with a value.",
            note,
        )
    return text


def _with(files: Files, path: str, text: str) -> Files:
    return {**files, path: text.encode()}
