"""Crossover without a model: functions, statements or numbers of two variants."""

import ast
from contextlib import suppress

from numpy.random import Generator

from evolve.archive import Files
from evolve.operators.base import Child, Operator, Rejected
from evolve.operators.changing import Changed, change
from evolve.operators.context import Context
from evolve.operators.mutations import NothingToChange, is_number, pick, write_number
from evolve.operators.python_source import (
    Edit,
    Source,
    indent_of,
    reindent,
    syntax_error,
)
from evolve.operators.syntactic import pick_file

TRIES = 20


class Recombine(Operator):
    """An operator that puts a part of the second parent into the first."""

    shows = ()
    parents = 2

    async def propose(self, context: Context) -> Child:
        """Try until a child differs from both parents.

        Args:
            context: with two parents

        Returns:
            The child.

        Raises:
            Rejected: no difference after `TRIES` attempts, or not a Python file of both
        """
        first, second = (parent.files for parent in context.parents)
        shown = {path: first[path] for path in context.task.edits.within(first)}
        mate = {path: second[path] for path in shown if path in second}
        both = {"first": b"".join(shown.values()), "mate": b"".join(mate.values())}
        name = context.parents[1].proposal.id[:8]
        new = await change(cross, shown, mate, name, context.rng, files=both)
        return Child({**first, new.path: new.content}, new.note)


def cross(
    files: Files,
    others: Files,
    name: str,
    rng: Generator,
) -> Changed:
    """Put a part of one program into another.

    Args:
        files: editable files of the first parent, path -> content
        others: those of the second parent
        name: of the second parent, for the note
        rng: generator

    Returns:
        The changed file.

    Raises:
        Rejected: no difference after `TRIES` attempts, or not a Python file of both
    """
    path = pick_file(tuple(files), files, rng)
    if path not in others or not path.endswith(".py"):
        raise Rejected("unchanged", f"{path} can't be recombined")
    source, mate = Source(files[path].decode()), Source(others[path].decode())
    crossings = (blend_numbers, blend_numbers, take_function, graft_statement)
    for _ in range(TRIES):
        crossing = pick(crossings, rng)
        with suppress(NothingToChange):
            text = crossing(source, mate, rng)
            if text not in (source.text, mate.text) and not syntax_error(text):
                words = crossing.__name__.replace("_", " ")
                return Changed(path, text.encode(), f"{words} of {name}")
    raise Rejected("unchanged", "the parents have nothing to exchange")


def blend_numbers(source: Source, mate: Source, rng: Generator) -> str:
    """Blend the numbers of functions that have the same shape in both files.

    Args:
        source: the first parent
        mate: the second parent
        rng: generator

    Returns:
        The new text, the same without functions of the same shape. Each number is kept,
        or drawn uniformly from a + (b - a) * [-1, 1.5].
    """
    edits: list[Edit] = []
    for name, function in source.functions.items():
        other = mate.functions.get(name)
        if other is None or _shape(function) != _shape(other):
            continue
        for mine, theirs in zip(_numbers(function), _numbers(other), strict=True):
            new = _blend(mine, theirs, rng)
            if new is not None:
                edits.append(Edit(*source.span(mine), write_number(new), ""))
    data = source.data
    for edit in sorted(edits, key=lambda e: -e.start):
        data = data[: edit.start] + edit.text.encode() + data[edit.end :]
    return data.decode()


def _blend(mine: ast.Constant, theirs: ast.Constant, rng: Generator) -> float | None:
    a, b = mine.value, theirs.value
    assert isinstance(a, (int, float)) and isinstance(b, (int, float))
    if a == b or rng.random() < 0.3:
        return None
    mixed = a + (b - a) * float(rng.uniform(-1.0, 1.5))
    return (
        round(mixed)
        if isinstance(a, int) and isinstance(b, int)
        else float(f"{mixed:.9g}")
    )


def take_function(source: Source, mate: Source, rng: Generator) -> str:
    """Replace one function with that of the second parent.

    Args:
        source: the first parent
        mate: the second parent
        rng: generator

    Returns:
        The new text.

    Raises:
        NothingToChange: no function of the same name differs
    """
    names = [
        name
        for name, node in source.functions.items()
        if name in mate.functions
        and source.code(node) != mate.code(mate.functions[name])
    ]
    name = pick(names, rng)
    mine, theirs = source.functions[name], mate.functions[name]
    text = reindent(mate.lines(theirs), indent_of(source.lines(mine)))
    return source.apply(Edit(*source.line_span(mine), text, ""))


def graft_statement(source: Source, mate: Source, rng: Generator) -> str:
    """Insert a statement of the second parent's function into that of the first.

    Args:
        source: the first parent
        mate: the second parent
        rng: generator

    Returns:
        The new text, with the statement after or in place of another.

    Raises:
        NothingToChange: nothing fits
    """
    names = [name for name in source.functions if name in mate.functions]
    name = pick(names, rng)
    targets = [s for s in source.functions[name].body if source.alone(s)]
    gifts = [s for s in mate.functions[name].body if mate.alone(s)]
    target, gift = pick(targets, rng), pick(gifts, rng)
    start, end = source.line_span(target)
    text = reindent(mate.lines(gift), indent_of(source.lines(target)))
    return source.apply(Edit(end if rng.random() < 0.5 else start, end, text, ""))


def _numbers(function: ast.FunctionDef) -> list[ast.Constant]:
    """Return number literals in tree order, which is the same for equal shapes."""
    return [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Constant) and is_number(node)
    ]


def _shape(function: ast.FunctionDef) -> str:
    """Return the tree with all numbers set to 0. Signs count: -x and x differ."""
    folded = ast.parse(ast.unparse(function))
    for node in ast.walk(folded):
        if isinstance(node, ast.Constant) and is_number(node):
            node.value = 0
    return ast.dump(folded)
