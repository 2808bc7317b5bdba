"""Whole files in fenced blocks: new contents of existing files, and new files."""

import ast
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from evolve.archive import Files
from evolve.operators.base import Rejected
from evolve.operators.edits.definitions import (
    defined_names,
    definitions,
    first_line,
    has_definitions_only,
    merge_definitions,
    new_imports,
    parse_python,
)
from evolve.operators.edits.fences import Block, fenced_blocks
from evolve.operators.edits.left_out import LeftOut, left_out
from evolve.operators.edits.program import (
    MAX_BLOCKS,
    block_path,
    is_quote,
    only_file,
    program_blocks,
    the_program,
)
from evolve.operators.edits.search_replace import path_in
from evolve.tasks import Editable, Region, editable_region
from evolve.tasks.region import END, START, MarkerError


def whole_files(reply: str, files: Files, editable: Editable) -> dict[str, bytes]:
    """Return the files that a reply rewrites.

    Args:
        reply: the model's text
        files: the parent's tree, path -> content
        editable: files that may change

    Returns:
        New contents, path -> content.

    Raises:
        Rejected: no code block, an unclear file, or an incomplete text
    """
    given = _by_path(program_blocks(reply, files, editable), files, editable)
    return {
        path: rewritten(
            path,
            files.get(path),
            the_program(blocks, files.get(path, b""), path),
        )
        for path, blocks in given.items()
    }


def unasked_program(
    reply: str, files: Files, editable: Editable
) -> dict[str, bytes] | None:
    """Return the rewritten file of a reply that was asked for changes only.

    Args:
        reply: the model's text
        files: the parent's tree, path -> content
        editable: files that may change

    Returns:
        The only editable file with the program of the reply, or with functions of the
        same names; None if the reply has none, or several versions of them.

    Raises:
        Rejected: the program leaves out code
    """
    path = only_file(files, editable)
    if path is None or not path.endswith(".py"):
        return None
    content = files[path].decode()
    names = defined_names(editable_region(content).text)
    try:
        blocks = [
            block
            for block in program_blocks(reply, files, editable)
            if not is_quote(block, content)
        ]
        fresh = [block for block in blocks if names & defined_names(block.text)]
        if not fresh:
            return None
        block = the_program(blocks, files[path], path)
    except Rejected:
        return None
    given = defined_names(block.text)
    if not block.part and (len(fresh) > 1 or not names <= given):
        if len(fresh) > 1 or not (given <= names and has_definitions_only(block.text)):
            return None
        block = replace(block, part=True)
    return {path: rewritten(path, files[path], block)}


def _by_path(
    blocks: Sequence[Block], files: Files, editable: Editable
) -> dict[str, list[Block]]:
    """Return the blocks of each file, by the paths that they name.

    A block without a path belongs to the only file that defines the same names.

    Raises:
        Rejected: no block names a file, or one names two
    """
    if path := only_file(files, editable):
        return {path: list(blocks)}
    found: dict[str, list[Block]] = {}
    for block in blocks:
        path = block_path(block, files, editable) or _by_names(block, files, editable)
        if (
            path is None
            and definitions(block.text)
            and has_definitions_only(block.text)
        ):
            raise Rejected(
                "unparsable",
                f"a code block that defines {', '.join(definitions(block.text))} does not "
                f"name its file; write the path on the line above it: {editable}",
            )
        if path:
            _refuse_two(block, path, editable.within(files))
            found.setdefault(path, []).append(block)
    if not found:
        raise Rejected(
            "unparsable",
            "a code block does not name its file; write the path "
            f"on the line above it: {editable}",
        )
    return found


def _refuse_two(block: Block, path: str, known: Sequence[str]) -> None:
    """Raise `Rejected` if a comment in a block names another file."""
    for line in block.text.split("\n"):
        other = path_in(line) if line.startswith(("#", "//", "/*", "--")) else ""
        if other in known and other != path:
            raise Rejected(
                "unparsable",
                f"a code block has lines of {path} and of {other}; write one block for "
                "each file, with its path on the line above",
            )


def _by_names(block: Block, files: Files, editable: Editable) -> str | None:
    names = definitions(block.text).keys()
    fitting = [
        path
        for path in editable.within(files)
        if path.endswith(".py") and names & definitions(files[path].decode()).keys()
    ]
    return fitting[0] if len(fitting) == 1 else None


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
    python = path.endswith(".py")
    gaps = left_out(block.text, old, python)
    if gaps and not (python and parse_python(block.text)):
        raise _leaves_out(path, gaps[0].text)
    region = editable_region(old)
    marked = any(START in part for part in region.fixed)
    if marked:
        new = _joined(path, region, block, gaps)
    elif python:
        new = _merged(path, old, block, "", gaps)
    else:
        new = block.text
    return _with_line_ends(new, old).encode()


def _leaves_out(path: str, line: str) -> Rejected:
    return Rejected(
        "unparsable",
        f"the block for {path} leaves out code ({line[:200]!r}); give the whole text, "
        "every line of it. If a body is meant to be empty, write pass",
    )


def _merged(
    path: str, old: str, block: Block, around: str, gaps: Sequence[LeftOut]
) -> str:
    """Return the new text of Python code, merged into the old one if it is a part.

    Raises:
        Rejected: it leaves out code inside of functions, or is a part that does not fit
    """
    if inner := next(filter(partial(_inside, parse_python(block.text)), gaps), None):
        raise _leaves_out(path, inner.text)
    left = [(gap.line, gap.column) for gap in gaps]
    return merge_definitions(old, block.text, around, left, part=block.part)


def _inside(tree: ast.Module | None, gap: LeftOut) -> bool:
    """Return whether a line is in the body of a function, or of another statement."""
    body: Sequence[ast.stmt] = tree.body if tree is not None else []
    column = 0
    while body and gap.column != column:
        above = [node for node in body if first_line(node) <= gap.line]
        if not above or not isinstance(above[-1], ast.ClassDef):
            return True
        body = above[-1].body
        column = body[0].col_offset
    return False


def _joined(path: str, region: Region, block: Block, gaps: Sequence[LeftOut]) -> str:
    """Return the fixed parts with new pieces between them."""
    text = block.text
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
        around = "".join(region.fixed)
        left = left_out(pieces[0], region.text, python=True) if gaps else []
        piece = replace(block, text=pieces[0])
        pieces = [_merged(path, region.text, piece, around, left)]
    elif gaps:
        raise _leaves_out(path, gaps[0].text)
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
