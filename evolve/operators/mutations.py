"""Small random edits of a Python file: numbers, operators, calls, statements.

A mutation takes (source, rng) and returns an `Edit`, or None if it does not apply.
"""

import ast
import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from numpy.random import Generator

from evolve.operators.python_source import Edit, Source, indent_of

Mutation = Callable[[Source, Generator], Edit]
STEP_SIZES = (0.03, 0.1, 0.3, 1.0)  # standard deviations of a number's logarithm
_ARITHMETIC = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
}
_ORDER = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_CALLS = (
    ("min", "max"),
    ("sin", "cos"),
    ("floor", "ceil", "round"),
    ("sqrt", "exp", "log1p", "abs"),
    ("sum", "max", "min"),
    ("any", "all"),
    ("arange", "linspace"),
)
_T = TypeVar("_T")


class NothingToChange(Exception):
    """The program has no place for this change."""


def pick(items: Sequence[_T], rng: Generator) -> _T:
    """Return a random item.

    Args:
        items: at least one
        rng: generator

    Returns:
        Each item with the same probability.

    Raises:
        NothingToChange: There is none.
    """
    if not items:
        raise NothingToChange
    return items[int(rng.integers(len(items)))]


def step_number(value: float, rng: Generator) -> float | int:
    """Change a number by a random step.

    Args:
        value: the number
        rng: generator

    Returns:
        A log-normal step; for an int also small additive steps. An int stays an int.
    """
    size = pick(STEP_SIZES, rng)
    if isinstance(value, int):
        if rng.random() < 0.5 or value == 0:
            return value + int(pick((-2, -1, 1, 2), rng))
        return round(value * math.exp(size * rng.standard_normal()))
    if value == 0.0:
        return float(f"{rng.standard_normal() * size:.6g}")
    sign = -1.0 if rng.random() < 0.05 else 1.0
    return float(f"{sign * value * math.exp(size * rng.standard_normal()):.9g}")


def write_number(value: float) -> str:
    """Return a literal that is a single operand in any expression.

    Args:
        value: the number

    Returns:
        Its `repr`, in parentheses if it is negative.
    """
    return f"({value!r})" if value < 0 else repr(value)


def is_number(node: ast.AST) -> bool:
    """Return whether a node is an int or float literal that a step can change.

    Args:
        node: any node

    Returns:
        False also for a bool and for magnitudes from 1e100.
    """
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return False
    return isinstance(node.value, (int, float)) and abs(node.value) < 1e100


def change_number(source: Source, rng: Generator) -> Edit:
    """Change one constant by a log-normal step.

    Args:
        source: the file
        rng: generator

    Returns:
        The edit.
    """
    numbers = [node for node in source.nodes if is_number(node)]
    node = pick(numbers, rng)
    assert isinstance(node, ast.Constant) and isinstance(node.value, (int, float))
    new = step_number(node.value, rng)
    return Edit(
        *source.span(node), write_number(new), f"{source.code(node)} -> {new!r}"
    )


def swap_operator(source: Source, rng: Generator) -> Edit:
    """Replace an arithmetic, comparison or boolean operator.

    Args:
        source: the file
        rng: generator

    Returns:
        The edit.
    """
    places: list[tuple[ast.AST, ast.AST, str, Sequence[str]]] = []
    for node in source.nodes:
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            places.append(
                (
                    node.left,
                    node.right,
                    _ARITHMETIC[type(node.op)],
                    list(_ARITHMETIC.values()),
                )
            )
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in _ORDER:
            places.append(
                (
                    node.left,
                    node.comparators[0],
                    _ORDER[type(node.ops[0])],
                    list(_ORDER.values()),
                )
            )
        elif isinstance(node, ast.BoolOp):
            old = "and" if isinstance(node.op, ast.And) else "or"
            places.append((node.values[0], node.values[1], old, ("and", "or")))
    left, right, old, choices = pick(places, rng)
    new = pick([choice for choice in choices if choice != old], rng)
    start, end = source.span(left)[1], source.span(right)[0]
    gap = source.data[start:end].decode()
    return Edit(start, end, gap.replace(old, new, 1), f"{old} -> {new}")


def swap_call(source: Source, rng: Generator) -> Edit:
    """Replace a function with another of the same family.

    Args:
        source: the file
        rng: generator

    Returns:
        The edit.
    """
    places: list[tuple[ast.expr, str, tuple[str, ...]]] = []
    for node in source.nodes:
        if isinstance(node, ast.Call) and isinstance(
            node.func, (ast.Name, ast.Attribute)
        ):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            places += [(node.func, name, family) for family in _CALLS if name in family]
    function, name, family = pick(places, rng)
    new = pick([other for other in family if other != name], rng)
    end = source.span(function)[1]
    return Edit(end - len(name), end, new, f"{name}() -> {new}()")


def delete_statement(source: Source, rng: Generator) -> Edit:
    """Delete a statement; the only one of a block becomes `pass`.

    Args:
        source: the file
        rng: generator

    Returns:
        The edit.
    """
    statement = _pick_statement(source, rng)
    only = any(len(body) == 1 and body[0] is statement for body in source.bodies)
    indent = indent_of(source.lines(statement))
    return Edit(
        *source.line_span(statement),
        f"{indent}pass\n" if only else "",
        f"deleted: {_short(source.code(statement))}",
    )


def duplicate_statement(source: Source, rng: Generator) -> Edit:
    """Repeat a statement.

    Args:
        source: the file
        rng: generator

    Returns:
        The edit.
    """
    statement = _pick_statement(source, rng)
    end = source.line_span(statement)[1]
    return Edit(
        end, end, source.lines(statement), f"twice: {_short(source.code(statement))}"
    )


def swap_statements(source: Source, rng: Generator) -> Edit:
    """Exchange two adjacent statements of a block.

    Args:
        source: the file
        rng: generator

    Returns:
        The edit.
    """
    pairs = [
        (a, b)
        for body in source.bodies
        for a, b in itertools.pairwise(body)
        if source.alone(a)
        and source.alone(b)
        and not _is_definition(a)
        and not _is_definition(b)
    ]
    first, second = pick(pairs, rng)
    (start, middle), (after, end) = source.line_span(first), source.line_span(second)
    between = source.data[middle:after].decode()
    return Edit(
        start,
        end,
        source.lines(second) + between + source.lines(first),
        f"order: {_short(source.code(second))} first",
    )


def replace_expression(source: Source, rng: Generator) -> Edit:
    """Replace an expression of a function with another one of the same function.

    Args:
        source: the file
        rng: generator

    Returns:
        The edit.
    """
    functions = list(source.functions.values())
    function = pick(functions, rng)
    inside = [
        node
        for node in _values(function)
        if source.region.contains(node.lineno - 1, node.end_lineno or node.lineno)
    ]
    if len(inside) < 2:
        raise NothingToChange
    target, other = pick(inside, rng), pick(inside, rng)
    text = source.code(other)
    return Edit(
        *source.span(target),
        f"({text})" if not isinstance(other, ast.Name) else text,
        f"{_short(source.code(target))} -> {_short(text)}",
    )


def wrap_expression(source: Source, rng: Generator) -> Edit:
    """Scale or shift a value: x -> x * c or x + c.

    Args:
        source: the file
        rng: generator

    Returns:
        The edit, with c drawn from a normal distribution (log-normal for the factor);
        None without values.
    """
    values = [
        node
        for node in source.nodes
        if isinstance(node, (ast.BinOp, ast.Call, ast.Name))
        and not isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del))
    ]
    node = pick(values, rng)
    size = pick(STEP_SIZES, rng)
    if rng.random() < 0.5:
        tail = f" * {float(f'{math.exp(size * rng.standard_normal()):.4g}')!r}"
    else:
        tail = f" + {write_number(float(f'{size * rng.standard_normal():.4g}'))}"
    text = source.code(node)
    return Edit(*source.span(node), f"(({text}){tail})", f"{_short(text)}{tail}")


MUTATIONS: tuple[tuple[Mutation, float], ...] = (
    (change_number, 0.80),
    (wrap_expression, 0.10),
    (replace_expression, 0.06),
    (swap_operator, 0.07),
    (swap_call, 0.03),
    (delete_statement, 0.05),
    (duplicate_statement, 0.03),
    (swap_statements, 0.04),
)


def _pick_statement(source: Source, rng: Generator) -> ast.stmt:
    statements = [
        s
        for body in source.bodies
        for s in body
        if source.alone(s) and not _is_definition(s)
    ]
    return pick(statements, rng)


def _is_definition(node: ast.stmt) -> bool:
    return isinstance(
        node, (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Return)
    )


def _values(function: ast.FunctionDef) -> list[ast.expr]:
    """Return the expressions in a function's body that are read, not assigned."""
    return [
        node
        for statement in function.body
        for node in ast.walk(statement)
        if isinstance(
            node,
            (ast.BinOp, ast.Call, ast.Name, ast.Constant, ast.Subscript, ast.Compare),
        )
        and isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        and not (isinstance(node, ast.Constant) and isinstance(node.value, str))
    ]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:37] + "..."
