"""Plugins: built-in or third-party policies and operators by name, and their errors."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from evolve.errors import ConfigError, EvolveError, RunError, did_you_mean

_T = TypeVar("_T")
_OURS = ("evolve", "archive", "sandbox")


def find_class(
    kind: str, name: str, built_in: Mapping[str, str], base: type[_T]
) -> type[_T]:
    """Import a class by name.

    Args:
        kind: "policy" or "operator", for messages.
        name: A built-in name, or `package.module:Class`.
        built_in: Built-in name -> `package.module:Class`.
        base: Class that it must extend.

    Returns:
        The class, which is not abstract.

    Raises:
        ConfigError: There is no such class, or it can't be imported or used.
    """
    module, _, attribute = built_in.get(name, name).partition(":")
    if not attribute:
        raise ConfigError(f"unknown {kind} {name!r}", did_you_mean(name, built_in))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the {kind} {name}: there is no module {error.name!r}",
            "add its folder to the path: PYTHONPATH=. evolve ...",
        ) from None
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the {kind} {name} can't be imported: {error}") from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(
            f"invalid {kind} {name}: it does not extend {base.__name__}",
            f"see {base.__module__}.{base.__qualname__}",
        )
    if inspect.isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise ConfigError(
            f"the {kind} {name} does not define {missing}",
            f"see {base.__module__}.{base.__qualname__}",
        )
    return found


@contextmanager
def plugin_errors(kind: str, plugin: object) -> Iterator[None]:
    """Context manager: convert exceptions of a third-party class to `RunError` with its line.

    Exceptions that passed through the engine's code, or are of the engine, are not converted.

    Args:
        kind: "policy" or "operator", for messages.
        plugin: The object that is called.

    Raises:
        RunError: The plugin raised an exception.
    """
    try:
        yield
    except Exception as error:
        owner = type(plugin)
        # without the frames of this function and its caller
        frames = list(traceback.walk_tb(error.__traceback__))[2:]
        places = [
            (str(frame.f_globals.get("__name__", "")), line) for frame, line in frames
        ]
        if any(
            _is_ours(module)
            for module in (
                owner.__module__,
                type(error).__module__,
                *(module for module, _ in places),
            )
        ):
            raise
        at = [
            f" in line {line}" for module, line in places if module == owner.__module__
        ]
        raise plugin_error(
            kind,
            plugin,
            f"failed{at[-1] if at else ''}: {type(error).__name__}: {error}",
            "fix it, then: evolve resume; --debug shows more",
        ) from error


def plugin_error(kind: str, plugin: object, what: str, hint: str) -> EvolveError:
    """Return an error for an unusable result of a plugin.

    Args:
        kind: "policy" or "operator".
        plugin: The plugin.
        what: The rest of the sentence that begins with its name.
        hint: What its author should do.

    Returns:
        The error, to raise.
    """
    owner = type(plugin)
    return RunError(f"the {kind} {owner.__module__}:{owner.__qualname__} {what}", hint)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _OURS
