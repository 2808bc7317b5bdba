"""Operators of objects: the special methods that a class defines.

This file runs on both sides of the trust boundary, so it imports the standard library only.
"""

from __future__ import annotations

import types
from typing import Any

NAMES = (
    *(
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "hash",
        "contains",
        "format",
        "reversed",
        "str",
    ),
    *("add", "radd", "iadd", "sub", "rsub", "isub", "mul", "rmul", "imul", "matmul"),
    *("truediv", "rtruediv", "floordiv", "mod", "pow", "rpow", "neg", "pos", "abs"),
    *("invert", "and", "or", "xor", "round", "divmod", "lshift", "rshift"),
    *("bool", "len", "iter", "next", "getitem", "setitem", "delitem", "enter", "exit"),
    *("float", "int", "index", "complex", "await", "aiter", "anext", "aenter"),
)
_OF_C = (types.WrapperDescriptorType, types.MethodDescriptorType)
_BUILT_IN = ("builtins", "itertools")


def of(kind: type) -> list[str]:
    """Return which of the names a class defines by itself.

    Args:
        kind: Any class.

    Returns:
        Names without their underscores.
    """
    found = []
    for name in NAMES:
        method = getattr(kind, f"__{name}__", None)
        if method is not getattr(object, f"__{name}__", None):
            found.append(name)
    if isinstance(getattr(kind, "__contains__", None), _OF_C):
        found.remove("contains")  # a search among its items, or its keys
    return found


def is_iterator(kind: type) -> bool:
    """Return whether objects of a class are iterators of Python itself: these pass once."""
    return hasattr(kind, "__next__") and kind.__module__ in _BUILT_IN


def class_with(module: str, name: str, base: type, methods: dict[str, Any]) -> type:
    """Return a new class with methods for operators.

    Args:
        module: The module that it claims.
        name: Its qualified name.
        base: Its base.
        methods: Name of an operator -> method.

    Returns:
        The class.
    """
    own: dict[str, Any] = {f"__{key}__": value for key, value in methods.items()}
    if "__eq__" in own:
        own.setdefault("__hash__", None)
    return type(name.rpartition(".")[2], (base,), {"__module__": module, **own})
