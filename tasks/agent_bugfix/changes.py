"""One small change of a program: every place where its syntax tree could be changed, and to what."""

import ast
from typing import NamedTuple

SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv, ast.And: ast.Or, ast.Or: ast.And,
}


class Change(NamedTuple):
    """Characters from `start` that read `old` become `new`."""

    start: int
    old: str
    new: str

    def apply(self, text):
        """The changed text. Raises ValueError when it is not the text that was meant."""
        end = self.start + len(self.old)
        if text[self.start:end] != self.old:
            raise ValueError("the source is not the one that the change was made for")
        return text[:self.start] + self.new + text[end:]


def changes(text):
    """All changes inside functions, in the order of the file."""
    place = _places(text)
    found = []
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for statement in _body(function):
                found += [_change(text, place, node, new) for node in _walk(statement)
                          for new in _alternatives(node)]
    return sorted(set(found))


def _body(function):
    """Its statements, without the docstring."""
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def _walk(node):
    """A node and what is below it, but for f-strings: Python does not say where their parts are."""
    yield node
    if not isinstance(node, ast.JoinedStr):
        for below in ast.iter_child_nodes(node):
            yield from _walk(below)


def _alternatives(node):
    """What may stand in place of a node, as source."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SWAPS:
        yield _with(node, ops=[SWAPS[type(node.ops[0])]()])
    elif isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in SWAPS and not _is_text(node):
        yield _with(node, op=SWAPS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield ast.unparse(node.operand)
    elif isinstance(node, ast.Constant):
        yield from _constants(node.value)
    elif isinstance(node, ast.IfExp):
        yield _with(node, body=node.orelse, orelse=node.body)
    elif isinstance(node, ast.Call) and len(node.args) == 2 and not node.keywords:
        yield _with(node, args=node.args[::-1])
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "return None"
    elif isinstance(node, (ast.Continue, ast.Break)):
        yield "break" if isinstance(node, ast.Continue) else "continue"
    elif isinstance(node, (ast.AugAssign, ast.Raise)):
        yield "pass"


def _constants(value):
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield str(value + 1)


def _is_text(node):
    """Parts of a text that are put together: nobody mistakes + for - there."""
    return any(isinstance(part, (ast.JoinedStr, ast.Constant)) and not isinstance(
        getattr(part, "value", ""), (int, float)) for part in ast.walk(node))


def _with(node, **changed):
    """The source of a node with other parts; in brackets, so that it binds as before."""
    fields = {name: getattr(node, name) for name in node._fields} | changed
    source = ast.unparse(type(node)(**fields))
    return source if isinstance(node, ast.Call) else f"({source})"


def _change(text, place, node, new):
    start = place(node.lineno, node.col_offset)
    return Change(start, text[start:place(node.end_lineno, node.end_col_offset)], new)


def _places(text):
    """Of a line and a column in bytes: the place in the text."""
    lines = [line + "\n" for line in text.split("\n")]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    return lambda line, column: starts[line - 1] + len(lines[line - 1].encode()[:column].decode())
