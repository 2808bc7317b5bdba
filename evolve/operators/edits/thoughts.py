"""A model's thoughts, and the signs of its chat template, around its answer."""

import re
from collections.abc import Iterable

from evolve.operators.edits.lines import FENCE, lines_of

_THOUGHT = "(?:think|thinking|thoughts?|reasoning|scratchpad|seed:think)"
_START = re.compile(rf"(?i)^[ \t]*(?:<{_THOUGHT}>|\[THINK\]|◁think▷)")
_END = re.compile(rf"(?i)(?:</{_THOUGHT}>|\[/THINK\]|◁/think▷)[ \t]*")
_CHANNEL, _FINAL = "<|channel|>", "<|channel|>final<|message|>"
_BYTE_ORDER_MARK = "\ufeff"
_AT_START = ("<|im_start|>assistant", "<|start|>assistant", "<s>", "[/INST]")
_AT_END = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|end|>",
    "<|return|>",
    "<|endoftext|>",
    "<end_of_turn>",
    "<｜end▁of▁sentence｜>",
    "</s>",
)


def without_thinking(reply: str) -> str:
    """Remove a model's thoughts from its reply.

    Args:
        reply: the model's text

    Returns:
        The text after the thoughts; thoughts without an end tag are removed to the end.
        Tags inside a fenced block belong to the block.
    """
    text = _without_signs(reply)
    if _CHANNEL in text:  # the channels of gpt-oss; the last one is the answer
        text = _without_signs(text.rpartition(_FINAL)[2]) if _FINAL in text else ""
    text = _unquoted(text)
    if _END.search(text) is None and not any(map(_START.match, lines_of(text))):
        return text
    return "\n".join(_answer(lines_of(text)))


def _unquoted(text: str) -> str:
    """Remove the signs of a Markdown quotation if it has a fence or a block in it."""
    lines = lines_of(text)
    if not any(line.startswith(("> ```", "> <<<<")) for line in lines):
        return text
    plain = (line[1:] if line == ">" else line.removeprefix("> ") for line in lines)
    return "\n".join(plain)


def _without_signs(text: str) -> str:
    """Remove a byte order mark and signs of chat templates from both ends."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    for sign in _AT_START:
        if text.lstrip().startswith(sign):
            text = text.lstrip().removeprefix(sign)
    for sign in _AT_END * 2:
        if text.rstrip().endswith(sign):
            text = text.rstrip().removesuffix(sign)
    return text


def _answer(lines: Iterable[str]) -> list[str]:
    """Return the lines outside thoughts."""
    kept: list[str] = []
    thinking, fence, inside = False, "", 0  # tags that are open inside the fence
    for line in lines:
        if thinking:
            end = _END.search(line)
            if end is None:
                continue
            thinking, line = False, line[end.end() :]
            if not line:
                continue
        started = _START.match(line)
        if started and not fence:
            end = _END.search(line, started.end())
            thinking = end is None
            kept += [line[end.end() :]] if end and line[end.end() :] else []
            continue
        end = _END.search(line)
        inside += bool(started)
        if end and end.end() == len(line):
            if not inside:  # the chat template already contained the opening tag
                kept, fence = [], ""
                continue
            inside -= 1
        fence = _fence_after(line, fence)
        inside = inside if fence else 0
        kept.append(line)
    return kept


def _fence_after(line: str, fence: str) -> str:
    """Return the fence that is open after a line; empty if none is."""
    mark = FENCE.match(line)
    if mark is None:
        return fence
    if not fence:
        return mark[2]
    return "" if mark[2].startswith(fence) and not mark[3].strip() else fence
