"""Policies and operators are found by name: ours, or a class of one's own as `package.module:Class`."""

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
    """A built-in name or a dotted path. Raises `ConfigError`."""
    module, _, attribute = built_in.get(name, name).partition(":")
    if not attribute:
        raise ConfigError(f"there is no {kind} {name!r}", did_you_mean(name, built_in))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the {kind} {name}: there is no module {error.name!r}",
            "is its folder on the path? PYTHONPATH=. evolve ...",
        ) from None
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the {kind} {name} can't be imported: {error}") from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(
            f"{name} is no {kind}", f"see {base.__module__}.{base.__qualname__}"
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
    """What a class of somebody's own raises becomes a `RunError` that names its line.

    An exception that passed through code of ours on its way, or is one of ours, stays as it is.
    """
    try:
        yield
    except Exception as error:
        owner = type(plugin)
        # without this one and our caller's
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
            "mend it, then: evolve resume; --debug shows more",
        ) from error


def plugin_error(kind: str, plugin: object, what: str, hint: str) -> EvolveError:
    """What a policy or an operator gave is nothing to go on with."""
    owner = type(plugin)
    return RunError(f"the {kind} {owner.__module__}:{owner.__qualname__} {what}", hint)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _OURS
