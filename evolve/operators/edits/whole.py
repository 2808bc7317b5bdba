"""Whole files in fenced blocks: new contents of existing files, and new files."""

import re
from collections.abc import Sequence

from evolve.archive import Files
from evolve.operators.base import Rejected
from evolve.operators.edits.definitions import (
    defined_names,
    merge_definitions,
    new_imports,
)
from evolve.operators.edits.fences import Block, fenced_blocks, lines_of
from evolve.tasks import Editable, Region, editable_region
from evolve.tasks.region import END, START, MarkerError

# of a line without white space at its ends
_DOTS = re.compile(r"(?:#|//|--|/\*|%|;)?\s*(?:\.\.\.|…)(.*)")
_KEPT = re.compile(r"(?i)rest|existing|unchanged|same|remain|previous|other|omitted")
_REST_OF = re.compile(
    r"(?i)(?:#|//|--)\s*(?:\(?the )?(?:rest of|existing|remaining|other)"
    r"\b.*?\b(?:code|unchanged|same|here|functions?|as before)\b"
)
MAX_BLOCKS = 1000
_NAMING_CHARS = 1000  # of a line that may name a file
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


def whole_files(
    reply: str, files: Files, editable: Editable, language: str = "python"
) -> dict[str, bytes]:
    """Return the files that a reply rewrites.

    Args:
        reply: the model's text
        files: the parent's tree, path -> content
        editable: files that may change
        language: unused

    Returns:
        New contents, path -> content.

    Raises:
        Rejected: no code block, an unclear file, or an incomplete text
    """
    blocks = _program_blocks(reply)
    known = editable.within(files)
    named = {
        path: block for block in blocks if (path := block_path(block, files, editable))
    }
    if not blocks:
        raise Rejected("unparsable", "the reply has no fenced code block (```)")
    if len(known) == 1 and not editable.patterns:
        path = known[0]
        block = _the_program(blocks, files[path].decode())
        return {path: rewritten(path, files[path], block)}
    if not named:
        raise Rejected(
            "unparsable",
            "a code block does not name its file; write the path "
            f"on the line above it: {editable}",
        )
    return {
        path: rewritten(path, files.get(path), block) for path, block in named.items()
    }


def new_files(reply: str, files: Files, editable: Editable) -> dict[str, bytes]:
    """Return the new files of a reply.

    Args:
        reply: the model's text
        files: the parent's tree, path -> content
        editable: files that may be created

    Returns:
        Contents of closed blocks that name a file which may be created, by path.
    """
    return {
        path: block.text.encode()
        for block in fenced_blocks(reply)[:MAX_BLOCKS]
        if block.closed
        and (path := block_path(block, files, editable))
        and path not in files
    }


def _program_blocks(reply: str) -> Sequence[Block]:
    """Return the blocks that may be a program.

    A reply without fences that contains both markers is itself a program.

    Raises:
        Rejected: the last block begins with a marker and is cut off, or there are more
            than `MAX_BLOCKS`
    """
    blocks = fenced_blocks(reply)
    if len(blocks) > MAX_BLOCKS:
        raise Rejected(
            "unparsable", f"the reply has more than {MAX_BLOCKS} code blocks"
        )
    if not blocks and START in reply and END in reply:
        lines = lines_of(reply)
        first = next(k for k, line in enumerate(lines) if START in line)
        last = max(k for k, line in enumerate(lines) if END in line)
        return [Block("".join(f"{line}\n" for line in lines[first : last + 1]))]
    if (
        blocks
        and not blocks[-1].closed
        and START in blocks[-1].text
        and END not in blocks[-1].text
    ):
        raise Rejected(
            "unparsable", f"the last code block has neither {END} nor an end: cut off"
        )
    open_ones = [block for block in blocks if not block.closed]
    return [
        block for block in blocks if block not in open_ones or _complete(block.text)
    ]


def _complete(text: str) -> bool:
    """Return whether the markers or the syntax show that an open block is complete."""
    if START in text or END in text:
        return text.count(START) == text.count(END)
    return bool(defined_names(text))


def _the_program(blocks: Sequence[Block], before: str) -> Block:
    """Return the block that is the new program.

    Blocks with markers come first. Among them it is the last of those that define the
    most names of the file; if none does, the last marked or else the longest one.
    """
    # Models often quote the existing code first.
    fresh = [block for block in blocks if block.text.strip() not in before] or blocks
    marked = [block for block in fresh if START in block.text]
    code = (
        marked or [block for block in fresh if block.language not in _NO_CODE] or fresh
    )
    names = defined_names(editable_region(before).text)
    shared = [len(names & defined_names(block.text)) for block in code]
    if max(shared):
        return [
            block
            for block, count in zip(code, shared, strict=True)
            if count == max(shared)
        ][-1]
    return marked[-1] if marked else max(code, key=lambda block: len(block.text))


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


def rewritten(path: str, before: bytes | None, block: Block) -> bytes:
    """Put new text into the editable region of a file.

    Args:
        path: the file
        before: its old content; None for a new file
        block: the new text

    Returns:
        The new content; the fixed parts are unchanged.

    Raises:
        Rejected: the block leaves out code, or its markers don't match those of the
            file
    """
    if before is None:
        return block.text.encode()
    old = before.decode()
    if len(left_out := _left_out(block.text)) > len(_left_out(old)):
        raise Rejected(
            "unparsable",
            f"the block for {path} leaves out code ({left_out[0][:200]!r}); "
            "give the whole text",
        )
    region = editable_region(old)
    marked = any(START in part for part in region.fixed)
    new = _joined(path, region, block.text) if marked else _all(path, old, block.text)
    return _with_line_ends(new, old).encode()


def _left_out(text: str) -> list[str]:
    """Return the lines that stand for code which is left out."""
    return [line for line in map(str.strip, text.split("\n")) if _stands_for(line)]


def _stands_for(line: str) -> bool:
    dots = _DOTS.match(line)
    if dots is None:
        return _REST_OF.match(line) is not None
    return not dots[1].strip() or _KEPT.search(dots[1]) is not None


def _all(path: str, old: str, text: str) -> str:
    return merge_definitions(old, text) if path.endswith(".py") else text


def _joined(path: str, region: Region, text: str) -> str:
    """Return the fixed parts with new pieces between them."""
    try:
        given = editable_region(text)
    except MarkerError as error:
        raise Rejected(
            "unparsable", f"{path}: line {error.line} of the block: {error}"
        ) from None
    if START not in text:
        pieces = [_without_fixed(region, text)]
    else:
        pieces = ["".join(given.lines[first:last]) for first, last in given.blocks]
        if path.endswith(".py") and pieces:
            # The fixed part stays, but the new code may need imports from above it.
            pieces[0] = (
                new_imports(given.fixed[0], "".join(region.lines) + pieces[0])
                + pieces[0]
            )
    if path.endswith(".py") and len(pieces) == len(region.blocks) == 1:
        pieces = [merge_definitions(region.text, pieces[0], "".join(region.fixed))]
    if len(pieces) != len(region.blocks):
        raise Rejected(
            "unparsable",
            f"{path} has {len(region.blocks)} editable blocks, the reply "
            f"{len(pieces)}; keep every {START} and {END} line",
        )
    ended = [
        piece if piece.endswith("\n") or not piece else f"{piece}\n" for piece in pieces
    ]
    fixed = region.fixed
    return "".join([fixed[0], *(a + b for a, b in zip(ended, fixed[1:], strict=True))])


def _without_fixed(region: Region, text: str) -> str:
    """Remove the fixed head and tail from a whole file without marker lines."""
    head = "".join(
        line for line in region.fixed[0].splitlines(keepends=True) if START not in line
    )
    tail = "".join(
        line for line in region.fixed[-1].splitlines(keepends=True) if END not in line
    )
    for part, cut in (
        (head.strip(), str.removeprefix),
        (tail.strip(), str.removesuffix),
    ):
        text = cut(text.strip("\n"), part) if part else text
    return text.strip("\n") + "\n"


def _with_line_ends(new: str, old: str) -> str:
    """Return the text with the line ends of the old one: CRLF, and no final one."""
    if "\r\n" in old:
        new = new.replace("\r\n", "\n").replace("\n", "\r\n")
    if old and not old.endswith("\n"):
        new = new.removesuffix("\n").removesuffix("\r")
    return new
