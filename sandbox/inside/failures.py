"""Exceptions that cross between evaluator and program, with their arguments and attributes.

The other side gets an exception of the same class, or of a new one with the same name and
bases; no code of the class crosses. This file runs on both sides of the trust boundary, so it
imports the standard library only.
"""

from __future__ import annotations

from typing import Any

_TEXT = "_said"  # attribute of an exception of a class with its own text


def arguments_of(error: BaseException) -> tuple[Any, ...]:
    """Return the arguments that make an exception like this one.

    Args:
        error: Any exception.

    Returns:
        Its `args`; those of an OSError lack the file's name, which is added.
    """
    if isinstance(error, OSError) and error.filename is not None:
        names = [error.filename]
        if error.filename2 is not None:
            names += [None, error.filename2]
        return (error.errno, error.strerror, *names)
    return error.args


def fields_of(error: BaseException, text: str) -> dict[str, Any]:
    """Return the attributes of an exception, with its text if its class makes one.

    Args:
        error: Any exception.
        text: The result of `str`.

    Returns:
        Name -> value.
    """
    maker: Any = getattr(type(error).__str__, "__objclass__", None)
    is_built_in = maker is not None and maker.__module__ == "builtins"
    return vars(error) if is_built_in else {**vars(error), _TEXT: text}


def new_class(name: str, module: str, bases: tuple[type, ...]) -> type:
    """Return a new class of exceptions, without any code but its bases'.

    Args:
        name: Its qualified name.
        module: The module that it claims.
        bases: Classes of exceptions.

    Returns:
        The class.

    Raises:
        TypeError: The bases do not go together.
    """
    own = {"__module__": module, "__qualname__": name, "__str__": _said}
    return type(name.rpartition(".")[2], bases, own)


def _said(error: Any) -> str:
    text = vars(error).get(_TEXT)
    return text if isinstance(text, str) else str(_built_in(type(error)).__str__(error))


def _built_in(kind: type) -> Any:
    return next(c for c in kind.__mro__ if c.__module__ == "builtins")


def made(
    kind: type[BaseException], args: tuple[Any, ...], fields: dict[str, Any]
) -> BaseException | None:
    """Make an exception without running code of its class, unless that is built in.

    Args:
        kind: Its class.
        args: Its arguments, as of `arguments_of`.
        fields: Its attributes.

    Returns:
        The exception; None if the arguments do not fit.
    """
    base = _built_in(kind)
    try:
        error: BaseException = base.__new__(kind, *args)
        base.__init__(error, *args)
    except (TypeError, ValueError, OverflowError):
        return None
    for name, value in fields.items():
        there = getattr(kind, name, None)
        if not name.startswith("__") and not hasattr(there, "__set__"):
            vars(error)[name] = value
    return error
