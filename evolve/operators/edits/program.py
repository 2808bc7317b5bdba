"""Which of a reply's blocks is the new program."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NoReturn

from evolve.archive import Files
from evolve.operators.base import Rejected
from evolve.operators.edits.bare import (
    bare_program,
    has_definitions,
    without_glued_fence,
)
from evolve.operators.edits.definitions import (
    defined_names,
    has_definitions_only,
    imported_names,
    parse_python,
    used_names,
)
from evolve.operators.edits.fences import (
    Block,
    fenced_blocks,
    longer_blocks,
    outside_fences,
)
from evolve.operators.edits.lines import lines_of
from evolve.operators.edits.plain import plain_program
from evolve.tasks import Editable, editable_region
from evolve.tasks.region import END, START

MAX_BLOCKS = 1000
MAX_MENDED = 32  # blocks without their decoration
_NAMING_CHARS = 1000  # of a line that may name a file
# files that are text for people or models, whose blocks don't show what they are for
_TEXTS = (".md", ".txt", ".j2", ".prompt")
_NO_CODE = (
    "sh",
    "bash",
    "shell",
    "console",
    "text",
    "txt",
    "json",
    "output",
    "markdown",
    "md",
    "diff",
    "plaintext",
    "log",
)
_TOKEN = re.compile(r"[\w./+-]+")


def only_file(files: Files, editable: Editable) -> str | None:
    """Return the only file that may change or be created; None if there are several.

    Args:
        files: the parent's tree, path -> content
        editable: files that may change or be created
    """
    known = editable.within(files)
    return known[0] if len(known) == 1 and not editable.patterns else None


def program_blocks(reply: str, files: Files, editable: Editable) -> list[Block]:
    """Return the blocks that may be a program.

    Without fences, a part of the reply may be one.

    Args:
        reply: the model's text
        files: the parent's tree, path -> content
        editable: files that may change or be created

    Returns:
        At least one block, without what a chat put around its lines.

    Raises:
        Rejected: there is none, the last one is cut off, or there are more than
            `MAX_BLOCKS`
    """
    blocks = fenced_blocks(reply)
    if len(blocks) > MAX_BLOCKS:
        raise Rejected(
            "unparsable", f"the reply has more than {MAX_BLOCKS} code blocks"
        )
    only = only_file(files, editable) or ""
    if not blocks or _fences_are_inside(reply, only, files):
        bare = _unfenced(reply, only, files)
        return [bare] if bare else _none(only)
    last = blocks[-1]
    if not last.closed and START in last.text and END not in last.text:
        raise Rejected(
            "unparsable", f"the last code block has neither {END} nor an end: cut off"
        )
    mended: list[Block] = []
    end = 0  # blocks before this line are parts of a longer one
    for number, block in enumerate(blocks):
        path = only or block_path(block, files, editable) or ""
        if block.first < end or number >= MAX_MENDED:
            mended += [block] if block.first >= end and _usable(block) else []
            continue
        new = _mended(reply, block, path, files)
        if new is not None:
            mended.append(new)
            end = new.first + new.text.count("\n") if new.closed else end
    return mended or _none(only)


def _fences_are_inside(reply: str, path: str, files: Files) -> bool:
    """Return whether the fences of a reply are in the strings of a Python program."""
    if not path.endswith(".py") or not has_definitions(outside_fences(reply)):
        return False
    blocks = fenced_blocks(reply)
    names = defined_names(editable_region(files[path].decode()).text)
    return not blocks[-1].closed or not any(
        names & defined_names(block.text) for block in blocks[:MAX_MENDED]
    )


def _usable(block: Block) -> bool:
    return block.closed or _complete(block.text)


def _mended(reply: str, block: Block, path: str, files: Files) -> Block | None:
    """Return a block with its true end and plain lines; None if it has no end."""
    old = files[path].decode() if path in files else ""
    python = path.endswith(".py")
    code = block.info.partition(" ")[2]
    if python and has_definitions([code]):  # on the line of the fence
        block = replace(block, text=f"{code}\n{block.text}")
    elif python and block.closed:
        block = _with_fences(reply, block)
    if not _usable(block):
        text = without_glued_fence(block.text)
        found = _unfenced(text, path, files) if python else None
        return None if found is None else replace(block, text=found.text)
    text = plain_program(block.text, old, python)
    if python and parse_python(text) is None and START not in text:
        inner = _unfenced(text, path, files)  # prose is in the fence, too
        text = text if inner is None else inner.text
    return replace(block, text=text)


def _none(path: str) -> NoReturn:
    language = "python" if path.endswith(".py") else ""
    raise Rejected(
        "unparsable",
        "the reply has no fenced code block (```) with a program: write a line "
        f"```{language}, then the whole new text, then a line ```",
    )


def _with_fences(reply: str, block: Block) -> Block:
    """Return a block up to a later fence if it is Python only then: a fence in a string."""
    if parse_python(block.text) is None and (
        "'''" in block.text or '"""' in block.text
    ):
        for longer in longer_blocks(reply, block):
            if parse_python(longer.text) is not None:
                return longer
    return block


def _unfenced(text: str, path: str, files: Files) -> Block | None:
    """Return the program in a text without fences, if it is clear where it ends."""
    old = files[path].decode() if path in files else ""
    lines = lines_of(text)
    if START in text and END in text:
        first = next(k for k, line in enumerate(lines) if START in line)
        last = max(k for k, line in enumerate(lines) if END in line)
        return Block("".join(f"{line}\n" for line in lines[first : last + 1]))
    if path.endswith(".py"):
        found = bare_program(text, defined_names(editable_region(old).text))
        return Block(found) if found is not None else None
    code, before = text.strip().split("\n"), old.strip().split("\n")
    if before != [""] and (code[0], code[-1]) == (before[0], before[-1]):
        return Block(text.strip("\n") + "\n")
    return None


def _complete(text: str) -> bool:
    """Return whether the markers or the syntax show that an open block is complete."""
    if START in text or END in text:
        return text.count(START) == text.count(END)
    return bool(defined_names(text))


def the_program(blocks: Sequence[Block], content: bytes, path: str) -> Block:
    """Return the block that is the new program.

    Blocks with markers come first. Among them it is the last of those that define the
    most names of the file; if none does, the last marked or else the longest one. Blocks
    that define different names are parts of one program.

    Args:
        blocks: at least one
        content: of the file, empty if it is new
        path: the file

    Raises:
        Rejected: several blocks may be the new text of a file that is not a program
    """
    before = content.decode()
    # Models often quote the existing code first.
    fresh = [block for block in blocks if not is_quote(block, before)] or blocks
    marked = [block for block in fresh if START in block.text]
    code = (
        marked or [block for block in fresh if block.language not in _NO_CODE] or fresh
    )
    if path.endswith(_TEXTS) and len(code) > 1 and not marked:
        raise Rejected(
            "unparsable",
            f"the reply has {len(code)} blocks that may be {path}; give one, between two "
            "lines ```` if its text has lines ```",
        )
    names = defined_names(editable_region(before).text)
    most = max(len(names & defined_names(block.text)) for block in code)
    if not most:
        return marked[-1] if marked else max(code, key=lambda block: len(block.text))
    if not marked and most < len(names):
        return _joined_parts(code, names)
    return _last_with_most(code, names)


def is_quote(block: Block, program: str) -> bool:
    """Return whether a block has only lines of a program, in the same order.

    Args:
        block: the fenced block
        program: the old program
    """
    return f"\n{block.text.strip()}\n" in f"\n{program.strip()}\n"


def _joined_parts(blocks: Sequence[Block], names: Collection[str]) -> Block:
    """Return blocks that define different names as one, each in its last version.

    Raises:
        Rejected: blocks have some of their names in common, so that it is not clear which
            of them count
    """
    chosen: list[Block] = []
    versions: list[Collection[str]] = []
    wanted: set[str] = set()
    for block in reversed(blocks):
        own = defined_names(block.text)
        if own in versions or not has_definitions_only(block.text):
            continue
        if not own & set(names) and not (own | imported_names(block.text)) & wanted:
            continue
        if any(own & set(other) for other in versions):
            raise Rejected(
                "unparsable",
                "several code blocks define the same names; give the whole program in "
                "one block",
            )
        chosen.insert(0, block)
        versions.append(own)
        wanted |= used_names(block.text)
    if len(chosen) > 1:
        text = "\n\n".join(block.text for block in chosen)
        return replace(chosen[-1], text=text, part=True)
    return _last_with_most(blocks, names)


def _last_with_most(blocks: Sequence[Block], names: Collection[str]) -> Block:
    shared = [len(set(names) & defined_names(block.text)) for block in blocks]
    return [
        block
        for block, count in zip(blocks, shared, strict=True)
        if count == max(shared)
    ][-1]


def block_path(block: Block, files: Files, editable: Editable) -> str | None:
    """Return the file that a block names.

    Args:
        block: the fenced block
        files: the parent's tree, path -> content
        editable: files that may change or be created

    Returns:
        An editable or new file named after the fence, above it, or in a comment on the
        first line of the block; None if there is none.
    """
    known = editable.within(files)
    first = block.text.split("\n", 1)[0]
    comment = first if first.lstrip().startswith(("#", "//", "/*", "--")) else ""
    for line in (block.info, block.before, comment):
        words = _TOKEN.findall(line[:_NAMING_CHARS])
        named: list[str] = [word.rstrip("./+-").removeprefix("./") for word in words]
        fitting = [
            t for t in named if t in known or (editable.admits(t) and t not in files)
        ]
        if fitting:
            return max(fitting, key=len)
    return None
