"""Files and functions that a model asks to see before it changes a program that is shown in part."""

import ast
from collections.abc import Sequence

from evolve.operators.edits.definitions import parse_python

ASK = "SHOW"  # first word of a line that names a file, or a function of the shown file
MOST = 8  # names that one reply may ask for
_EDITS = ("```", "<<<<<<<", "@@", "+++ ", "DELETE ")


def asked_for(reply: str) -> tuple[str, ...]:
    """Return what a reply asks to see.

    Args:
        reply: a model's answer

    Returns:
        Names of files and functions; nothing if the reply holds a change, too.
    """
    if any(sign in reply for sign in _EDITS):
        return ()
    lines = [line.strip().strip("`*- ").split() for line in reply.splitlines()]
    names = [
        words[1].strip("`,:") for words in lines if len(words) == 2 and words[0] == ASK
    ]
    return tuple(dict.fromkeys(names))[:MOST]


def signatures(text: str) -> list[str]:
    """Return the functions and classes at the top of a Python file.

    Args:
        text: the file

    Returns:
        Such as "f(x, *more)" and "class C"; nothing if it can't be parsed.
    """
    tree = parse_python(text)
    found = []
    for node in tree.body if tree is not None else ():
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(f"{node.name}({', '.join(_arguments(node.args))})")
        elif isinstance(node, ast.ClassDef):
            found.append(f"class {node.name}")
    return found


def _arguments(given: ast.arguments) -> Sequence[str]:
    names = [one.arg for one in (*given.posonlyargs, *given.args)]
    names += [f"*{given.vararg.arg}"] if given.vararg else []
    names += [one.arg for one in given.kwonlyargs]
    return names + ([f"**{given.kwarg.arg}"] if given.kwarg else [])
