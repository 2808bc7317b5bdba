"""Replies in JSON, as models write them that are trained to call tools, in the usual form."""

import json
from collections.abc import Iterator
from typing import Any

from evolve.operators.edits.fences import fenced_blocks
from evolve.operators.edits.search_replace import DIVIDER, REPLACE, SEARCH

_OLD = ("search", "old_str", "old_string", "old", "find", "original")
_NEW = ("replace", "new_str", "new_string", "new", "replacement", "updated")
_PATHS = ("path", "file", "file_path", "filename")
_CODE = ("code", "program", "content", "file_content", "new_code", "source")


def without_json(reply: str) -> str:
    """Return a reply in JSON as blocks.

    Args:
        reply: the model's text

    Returns:
        SEARCH/REPLACE blocks or a fenced program; the reply itself if it is not one object
        of JSON, or one that does not show clearly what to do.
    """
    text = _json_text(reply)
    try:
        found = json.loads(text) if text[:1] in ("{", "[") else None
        objects = list(_objects(found))
    except (ValueError, RecursionError):
        return reply
    edits = [block for one in objects if (block := _edit(one))]
    codes = [value for one in objects for value in _codes(one)]
    if edits and not codes:
        return "\n".join(edits)
    if len(codes) == 1 and not edits:
        fence = "`" * (4 if "```" in codes[0] else 3)
        return f"{fence}\n{codes[0].rstrip()}\n{fence}\n"
    return reply


def _json_text(reply: str) -> str:
    blocks = fenced_blocks(reply)
    if len(blocks) == 1 and blocks[0].language == "json":
        return blocks[0].text.strip()
    return reply.strip()


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects in a value, also inside strings that are JSON themselves."""
    if isinstance(value, str) and value[:1] == "{":
        value = json.loads(value)
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _objects(inner) if _holds_objects(inner) else ()


def _holds_objects(value: Any) -> bool:
    return isinstance(value, (dict, list)) or (
        isinstance(value, str) and value[:2] in ('{"', "{ ", "{\n")
    )


def _edit(one: dict[str, Any]) -> str:
    old, new = (
        [one[key] for key in keys if isinstance(one.get(key), str)]
        for keys in (_OLD, _NEW)
    )
    if len(old) != 1 or len(new) != 1:
        return ""
    path = next((one[key] for key in _PATHS if isinstance(one.get(key), str)), "")
    lines = [path, SEARCH, old[0].rstrip("\n"), DIVIDER, new[0].rstrip("\n"), REPLACE]
    return "\n".join(lines if path else lines[1:])


def _codes(one: dict[str, Any]) -> list[str]:
    """Return the programs in an object."""
    found = [one[key] for key in _CODE if isinstance(one.get(key), str)]
    return [text for text in found if "\n" in text]
