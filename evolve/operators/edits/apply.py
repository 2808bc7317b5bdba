"""The entry point: recognize the format of a reply and return the child's files."""

import html
import re
from collections.abc import Iterable, Iterator, Mapping

from evolve.archive import Files
from evolve.operators.base import Rejected
from evolve.operators.edits.change import apply_change, target
from evolve.operators.edits.fences import fenced_blocks, outside_fences
from evolve.operators.edits.json_form import without_json
from evolve.operators.edits.labelled import labelled_changes
from evolve.operators.edits.lines import lines_of
from evolve.operators.edits.places import Change
from evolve.operators.edits.search_replace import (
    DIVIDER,
    REPLACE,
    SEARCH,
    has_blocks,
    search_replace_blocks,
)
from evolve.operators.edits.thoughts import without_thinking
from evolve.operators.edits.unified import has_hunks, removed_files, unified_changes
from evolve.operators.edits.whole import new_files, unasked_program, whole_files
from evolve.sandbox import CandidateFault
from evolve.sandbox.aside import run_aside
from evolve.tasks import Editable
from evolve.tasks.region import START, MarkerError

MAX_REPLY = 1 << 20  # characters
_SURROGATE = re.compile("[\ud800-\udfff]")
MARKS_PER_PASS = 32  # so many edits cost as much as reading the files once
_DATA = (".json", ".jsonl", ".ipynb")
_ESCAPED = "&lt;&lt;&lt;"
_DELETE = re.compile(r"^[\s*`-]*DELETE(?: FILE)?:?\s+[`*]*([\w./+-]*\w)[`*]*\s*$")


def apply_reply(
    reply: str, files: Files, editable: Editable, *, whole: bool, cut_off: bool = False
) -> dict[str, bytes]:
    """Apply a reply to the parent's files.

    Args:
        reply: the model's text
        files: the parent's tree, path -> content
        editable: files that may change, be created or be deleted
        whole: fenced code blocks are whole new files, not examples
        cut_off: the reply ended at the token limit

    Returns:
        The child's tree.

    Raises:
        Rejected: with the reason "unparsable", "region", "truncated" or "empty"
    """
    text = without_thinking(reply)
    if not text.strip():
        raise Rejected(
            "empty",
            "the reply is empty"
            if not reply.strip()
            else "the reply ends before the answer: there are only thoughts; think "
            "less, and write the answer after </think>",
        )
    if _SURROGATE.search(text):
        raise Rejected(
            "unparsable",
            "the reply holds half of a character (a lone surrogate); write it without "
            "this character",
        )
    if _ESCAPED in text and "<<<" not in text:  # all marks were escaped for HTML
        text = html.unescape(text)
    if not any(path.endswith(_DATA) for path in editable.within(files)):
        text = without_json(text)
    if cut_off:
        _refuse_half(text)
    try:
        new = _edited(text, files, editable, whole)
    except MarkerError as error:
        raise Rejected("region", f"line {error.line}: {error}") from None
    for path in _removals(text):
        if path not in new or not editable.admits(path):
            raise Rejected(
                "region",
                f"{path} can't be deleted; only files that match "
                f"{', '.join(editable.patterns) or 'no pattern'} can",
            )
        del new[path]
    return new


async def apply_aside(
    reply: str, files: Files, editable: Editable, *, whole: bool, cut_off: bool = False
) -> dict[str, bytes]:
    """Apply a reply as `apply_reply` does, in a process with limits if that is much work.

    Args:
        reply: the model's text
        files: the parent's tree, path -> content
        editable: files that may change, be created or be deleted
        whole: fenced code blocks are whole new files, not examples
        cut_off: the reply ended at the token limit

    Returns:
        The child's tree.

    Raises:
        Rejected: as `apply_reply`; also with the reason "unparsable" if it is too long, or
            takes too much time or memory
    """
    if len(reply) > MAX_REPLY:
        raise Rejected(
            "unparsable", f"the reply has more than {MAX_REPLY:,} characters"
        )
    shown = {path: files[path] for path in editable.within(files)}
    hidden = {path: data for path, data in files.items() if path not in shown}
    marks = sum(map(reply.count, ("SEARCH", "ORIGINAL", "BEFORE", "REPLACE", "@@")))
    size = len(reply) + sum(map(len, shown.values())) * (1 + marks // MARKS_PER_PASS)
    try:
        found = await run_aside(
            _child_or_why,
            *(reply, shown | dict.fromkeys(hidden, b""), editable, whole, cut_off),
            size=size,
        )
    except CandidateFault as fault:
        raise Rejected("unparsable", f"the reply: {fault.message}") from None
    if isinstance(found, list):
        raise Rejected(*found)
    return {path: hidden.get(path, data) for path, data in found.items()}


def _child_or_why(
    reply: str, files: Files, editable: Editable, whole: bool, cut_off: bool
) -> dict[str, bytes] | list[str]:
    """Return the child's tree, or reason and message of the rejection."""
    try:
        return apply_reply(reply, files, editable, whole=whole, cut_off=cut_off)
    except Rejected as why:
        return [why.reason, why.message]


def _edited(
    text: str, files: Files, editable: Editable, whole: bool
) -> dict[str, bytes]:
    if has_blocks(text):
        changes = search_replace_blocks(text)
        return _applied(changes, files, editable) | new_files(text, files, editable)
    if has_hunks(text):
        return _applied(unified_changes(text), files, editable) | new_files(
            text, files, editable
        )
    if whole or any(START in block.text for block in fenced_blocks(text)):
        if not fenced_blocks(text) and list(_removals(text)):
            return dict(files)
        return dict(files) | whole_files(text, files, editable)
    if labelled := labelled_changes(text):
        return _applied(labelled, files, editable)
    created = new_files(text, files, editable)
    if not created and not list(_removals(text)):
        if rewritten := unasked_program(text, files, editable):
            return dict(files) | rewritten
        raise Rejected(
            "unparsable",
            f"the reply has no SEARCH/REPLACE block: a line {SEARCH}, lines "
            f"of the program, a line {DIVIDER}, new lines, a line {REPLACE}",
        )
    return dict(files) | created


def _applied(
    changes: Iterable[Change], files: Files, editable: Editable
) -> dict[str, bytes]:
    """Apply all changes in order, each in exactly one place."""
    texts = {path: files[path].decode() for path in editable.within(files)}
    for number, change in enumerate(changes, start=1):
        if change.creates:
            texts[_created(change, files, texts, editable, number)] = "".join(
                f"{line}\n" for line in change.readings[0].replace
            )
            continue
        if change.path in files and change.path not in texts:
            raise Rejected(
                "region",
                f"block {number}: {change.path} is not editable; editable: {editable}",
            )
        path = target(change, texts, number)
        texts[path] = apply_change(change, texts[path], path, number)
    return dict(files) | {path: text.encode() for path, text in texts.items()}


def _created(
    change: Change,
    files: Files,
    texts: Mapping[str, str],
    editable: Editable,
    number: int,
) -> str:
    if change.path and change.path not in files and change.path not in texts:
        if editable.admits(change.path):
            return change.path
        raise Rejected(
            "region",
            f"block {number}: {change.path} can't be created; editable: {editable}",
        )
    raise Rejected(
        "unparsable", f"block {number}: SEARCH is empty; copy the lines to be replaced"
    )


def _removals(text: str) -> Iterator[str]:
    for line in outside_fences(text) if "DELETE" in text else ():
        if found := _DELETE.match(line):
            yield found.group(1)
    if has_hunks(text):
        yield from removed_files(text)


def _refuse_half(text: str) -> None:
    """Reject a truncated reply unless its last code block is complete."""
    blocks = fenced_blocks(text)
    if has_blocks(text) or has_hunks(text) or not blocks or not blocks[-1].closed:
        raise Rejected(
            "truncated", "the reply was cut off at the token limit; answer shorter"
        )
    if START in text and not any(START in block.text for block in blocks):
        raise Rejected(
            "truncated", "the reply was cut off at the token limit; answer shorter"
        )


def first_words(reply: str, limit: int = 200) -> str:
    """Return the model's description of its change.

    Args:
        reply: the model's text
        limit: greatest length, in characters

    Returns:
        The first line that is not code or markup; empty if there is none.
    """
    for line in lines_of(without_thinking(reply)):
        if line.strip() and not line.strip().startswith(
            ("```", "~~~", "<<<", "#", "---", "+++", "@@")
        ):
            return line.strip()[:limit]
    return ""
