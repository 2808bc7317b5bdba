"""`reflect`: a model reads what happened and writes one of the prompts anew.

One call and one file, so that a model that is too small to change code can still change an agent.
After the reflective mutation of prompts in GEPA (Agrawal et al. 2025, arXiv 2507.19457, 3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from evolve.archive import CallPurpose
from evolve.operators.base import Child, Operator, Rejected
from evolve.operators.context import Context, Reply
from evolve.operators.edits import first_words
from evolve.operators.prompting import Messages, agent_messages
from evolve.operators.showing import choose_evidence

SUFFIXES = (".md", ".txt", ".j2", ".prompt")
NEW_TEXT = re.compile(
    r"<new_text>[ \t]*\n(.*?)(^</new_text>|\Z)", re.DOTALL | re.MULTILINE
)
# what the program fills in: {files}, {{ files }}
GAP = re.compile(r"\{[a-z_]+\}|\{\{[^{}]*\}\}")


class Reflect(Operator):
    """The whole new text of one prompt, chosen by chance."""

    name = "reflect"
    needs_model = True

    async def propose(self, context: Context) -> Child:
        """Ask for the text; once more with what was wrong with it. Raises `Rejected`."""
        assert context.ask is not None
        files = context.parents[0].files
        paths = prompts_of(context.task.edits.within(files))
        if not paths:
            raise Rejected(
                "reflect", f"no prompt may change: a file in {', '.join(SUFFIXES)}"
            )
        path = paths[int(context.rng.integers(len(paths)))]
        old = files[path].decode()
        messages = _question(context, path, old)
        reply = await context.ask(CallPurpose.PROPOSE, messages)
        if context.repair is not None:
            messages += [
                {"role": "assistant", "content": reply.text or "(nothing)"},
                {"role": "user", "content": context.repair},
            ]
            reply = await context.ask(CallPurpose.REPAIR, messages)
        note = note_of(reply.text) or f"{path} is written anew"
        return Child(_with(files, path, new_text(reply, old, note)), note)


def prompts_of(paths: Sequence[str]) -> list[str]:
    """Those that hold words for a model rather than code."""
    return [path for path in paths if path.endswith(SUFFIXES)]


def note_of(text: str) -> str:
    """The model's own line on what it changes."""
    said = text.partition("<new_text>")[0].strip()
    return first_words(re.sub(r"\AWHAT CHANGES:\s*(one sentence\s)?", "", said).strip())


def new_text(reply: Reply, old: str, note: str = "") -> str:
    """What stands between the marks. Raises `Rejected`, also where a gap to fill in is lost.

    A model that ends by itself may leave out the second mark.
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
            f"The new text must hold {', '.join(lost) or 'something'}: the "
            "program puts something in its place.",
            note,
        )
    return text


def _question(context: Context, path: str, old: str) -> Messages:
    return agent_messages(
        context,
        context.prompts,
        choose_evidence(context),
        "reflect.j2",
        path=path,
        old=old,
        gaps=sorted(set(GAP.findall(old))),
    )


def _with(files: Mapping[str, bytes], path: str, text: str) -> Mapping[str, bytes]:
    return {**files, path: text.encode()}
