"""A peer's configuration file: read strictly, with a warning for whatever has no effect here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolve.errors import TaskError, did_you_mean


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping. Raises `TaskError` with the line."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text())
    except UnicodeDecodeError as error:
        raise TaskError(f"{path} is not UTF-8 text: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise TaskError(f"{where}: {getattr(error, 'problem', None) or error}",
                        "mend the YAML at that line") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise TaskError(f"{path} holds a {type(values).__name__}, not keys and values")
    return {str(key): value for key, value in values.items()}


def section(path: Path, values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of the configuration, empty when it is not there. Raises `TaskError`."""
    found = values.get(name) or {}
    if not isinstance(found, dict):
        raise TaskError(f"{path}: {name} holds a {type(found).__name__}, not keys and values")
    return {str(key): value for key, value in found.items()}


def number(path: Path, values: Mapping[str, Any], key: str, name: str) -> float | None:
    """A positive number. Raises `TaskError`."""
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise TaskError(f"{path}: {name}: {value!r} is no number above 0")
    return float(value)


def flat(values: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys; a section that is not known further stands for itself."""
    keys: list[str] = []
    for key, value in values.items():
        inner = known.get(key)
        if isinstance(value, dict) and isinstance(inner, dict) and inner:
            keys += flat({str(k): v for k, v in value.items()}, inner, f"{prefix}{key}.")
        else:
            keys.append(f"{prefix}{key}")
    return keys


def judge(path: Path, keys: list[str], taken: frozenset[str], dead: frozenset[str],
          other: frozenset[str]) -> tuple[str, ...]:
    """One warning for each kind of key that has no effect; an unknown one is named by itself."""
    known = taken | dead | other
    warnings = []
    ignored = [key for key in keys if key in other]
    without = [key for key in keys if key in dead]
    if without:
        warnings.append(f"{path}: without effect in its own engine, too: {', '.join(without)}")
    if ignored:
        warnings.append(f"{path}: not taken over (set ours instead): {', '.join(ignored)}")
    for key in keys:
        if key not in known:
            warnings.append(f"{path}: unknown key {key!r}; {did_you_mean(key, known)[:120]}")
    return tuple(warnings)
