"""Strict reading of a peer's configuration; settings without effect give warnings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolve.errors import TaskError, did_you_mean


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Args:
        path: the file

    Returns:
        The mapping with string keys; empty for an empty file.

    Raises:
        TaskError: not UTF-8, not YAML (with the line), or not a mapping
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text())
    except UnicodeDecodeError as error:
        raise TaskError(f"{path} is not UTF-8 text: {error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise TaskError(
            f"{where}: {getattr(error, 'problem', None) or error}",
            "fix the YAML at that line",
        ) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise TaskError(f"{path} holds a {type(values).__name__}, not keys and values")
    return {str(key): value for key, value in values.items()}


def section(path: Path, values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a section of the configuration.

    Args:
        path: the file, for the error message
        values: the configuration
        name: key of the section

    Returns:
        The section with string keys; empty if it is missing.

    Raises:
        TaskError: the value is not a mapping
    """
    found = values.get(name) or {}
    if not isinstance(found, dict):
        raise TaskError(
            f"{path}: {name} holds a {type(found).__name__}, not keys and values"
        )
    return {str(key): value for key, value in found.items()}


def number(path: Path, values: Mapping[str, Any], key: str, name: str) -> float | None:
    """Return a positive number of the configuration.

    Args:
        path: the file, for the error message
        values: mapping that may hold `key`
        key: key of the number
        name: full dotted key, for the error message

    Returns:
        The number; None if the key is missing.

    Raises:
        TaskError: the value is not a number above 0
    """
    value = values.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise TaskError(f"{path}: invalid {name} {value!r}: use a number above 0")
    return float(value)


def flat(
    values: Mapping[str, Any], known: Mapping[str, Any], prefix: str = ""
) -> list[str]:
    """Return the keys of a nested mapping in dotted form.

    Args:
        values: the configuration
        known: sections to descend into, each with at least one key
        prefix: added before each key

    Returns:
        Dotted keys; a section that is not in `known` is one key.
    """
    keys: list[str] = []
    for key, value in values.items():
        inner = known.get(key)
        if isinstance(value, dict) and isinstance(inner, dict) and inner:
            keys += flat(
                {str(k): v for k, v in value.items()}, inner, f"{prefix}{key}."
            )
        else:
            keys.append(f"{prefix}{key}")
    return keys


def judge(
    path: Path,
    keys: list[str],
    taken: frozenset[str],
    dead: frozenset[str],
    other: frozenset[str],
) -> tuple[str, ...]:
    """Return warnings for keys that have no effect.

    Args:
        path: the file, for the messages
        keys: dotted keys of the configuration
        taken: keys that are translated
        dead: keys without effect in the other engine, too
        other: keys that only the other engine uses

    Returns:
        At most one warning for `dead` and one for `other`; one per unknown key.
    """
    known = taken | dead | other
    warnings = []
    ignored = [key for key in keys if key in other]
    without = [key for key in keys if key in dead]
    if without:
        warnings.append(
            f"{path}: without effect in its own engine, too: {', '.join(without)}"
        )
    if ignored:
        warnings.append(
            f"{path}: not translated (use this engine's settings instead): {', '.join(ignored)}"
        )
    for key in keys:
        if key not in known:
            warnings.append(
                f"{path}: unknown key {key!r}; {did_you_mean(key, known)[:120]}"
            )
    return tuple(warnings)
