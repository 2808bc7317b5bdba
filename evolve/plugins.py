"""Policies and operators are found by name: ours, or a class of one's own as `package.module:Class`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TypeVar

from evolve.errors import ConfigError, did_you_mean

_T = TypeVar("_T")


def find_class(kind: str, name: str, built_in: Mapping[str, str], base: type[_T]) -> type[_T]:
    """A built-in name or a dotted path. Raises `ConfigError`."""
    module, _, attribute = built_in.get(name, name).partition(":")
    if not attribute:
        raise ConfigError(f"there is no {kind} {name!r}", did_you_mean(name, built_in))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise ConfigError(f"the {kind} {name}: there is no module {error.name!r}",
                          "is its folder on the path? PYTHONPATH=. evolve ...") from None
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the {kind} {name} can't be imported: {error}") from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{name} is no {kind}", f"see {base.__module__}.{base.__qualname__}")
    return found
