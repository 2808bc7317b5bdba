"""Signatures of functions, as plain values that cross between evaluator and program.

This file runs on both sides of the trust boundary, so it imports the standard library only.
"""

from __future__ import annotations

import inspect
from typing import Any

_EMPTY = inspect.Parameter.empty
_OF_CODE = (
    *("co_argcount", "co_kwonlyargcount", "co_posonlyargcount", "co_varnames"),
    *("co_flags", "co_name", "co_firstlineno", "co_nlocals"),
)


def told(function: Any) -> Any:
    """Return the parameters of a function, and the annotation of its result.

    Args:
        function: Anything callable.

    Returns:
        [name, kind, default or nothing, annotation or nothing] of each parameter, and the
        annotation of the result or nothing.
    """
    signature = inspect.signature(function)
    parameters = [
        [one.name, int(one.kind), _given(one.default), _given(one.annotation)]
        for one in signature.parameters.values()
    ]
    return [parameters, _given(signature.return_annotation)]


def _given(value: Any) -> list[Any]:
    return [] if value is _EMPTY else [value]


def made(said: Any) -> inspect.Signature:
    """Return a signature.

    Args:
        said: As of `told`.

    Returns:
        The signature.
    """
    parameters, result = said
    kinds = list(inspect._ParameterKind)
    return inspect.Signature(
        [
            inspect.Parameter(
                name,
                kinds[kind],
                default=_or_empty(default),
                annotation=_or_empty(note),
            )
            for name, kind, default, note in parameters
        ],
        return_annotation=_or_empty(result),
    )


def _or_empty(given: list[Any]) -> Any:
    return given[0] if given else _EMPTY


def code_of(function: Any) -> dict[str, Any]:
    """Return the facts about the arguments of a function in its code.

    Args:
        function: A function in Python.

    Returns:
        Name of an attribute of `__code__` -> value.
    """
    return {name: getattr(function.__code__, name) for name in _OF_CODE}
