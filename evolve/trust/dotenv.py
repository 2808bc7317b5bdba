"""What a `.env` may set: it lies in a folder that may have come from somebody else.

It holds keys and settings of the search. It may not choose what runs as the user, nor where
keys go that the user has set elsewhere.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from evolve.trust.choices import COMMAND, ISOLATING, USER_ONLY, is_plugin

PREFIX = "EVOLVE_"
_NEVER = re.compile(
    r"(PYTHON|LD_|DYLD_|GIT_|DOCKER_|XDG_|BASH_)\w*|PATH|HOME|TMPDIR|SHELL|ENV|EVOLVE_CACHE_DIR"
)
_ADDRESS = re.compile(r"(\w+?)_(API_BASE|BASE_URL|ENDPOINT)")
_MODELS = ("model", "novelty_judge", "embedding")
_COMMANDS = (
    "vllm_command",
    "vllm_options",
    "price",
    "price_per_second",
    "model_options",
)
_MARKS = ("task.toml", "run.toml")
_LOOPBACK = re.compile(r"https?://(127\.\d+\.\d+\.\d+|localhost|\[::1\])([:/]|$)")


def refused(
    path: Path, found: Mapping[str, str], environment: Mapping[str, str]
) -> str | None:
    """Return why a variable of a `.env` is refused.

    Args:
        path: The absolute path of the file.
        found: Its variables.
        environment: Variables that the user has set elsewhere.

    Returns:
        The first problem, with the name of the variable; None if there is none.
    """
    in_task = any((folder / m).is_file() for folder in path.parents for m in _MARKS)
    for name, value in found.items():
        key = name.removeprefix(PREFIX).lower()
        ours = name.startswith(PREFIX)
        if _NEVER.fullmatch(name) or (ours and _runs_as_user(key, value)):
            return f"{name}: it decides what runs as you"
        if in_task and not name.endswith("_KEY") and (not ours or key in USER_ONLY):
            return f"{name}: in the directory of a task or a run it may set keys only"
        theirs = _key_sent(name, value, ours and key in _MODELS)
        if theirs and environment.get(theirs) and theirs not in found:
            return (
                f"{name}: your {theirs}, which is not in this file, would be sent there"
            )
    return None


def _runs_as_user(key: str, value: str) -> bool:
    """Return whether a setting chooses code or commands that run as the user."""
    return (
        key in _COMMANDS
        or (key in _MODELS and (value.lstrip().startswith(COMMAND) or "$" in value))
        or (key == "sandbox" and value not in ISOLATING)
        or (key == "policy" and is_plugin(value))
        or (key == "operators" and ":" in value)
        or (key == "embedding" and value.startswith("transformer:"))
    )


def _key_sent(name: str, value: str, is_model: bool) -> str | None:
    """Return the variable of the key that goes to an address in a value; None for none."""
    if is_model:
        model, _, address = value.partition("@")
        far = address and not _LOOPBACK.match(address)
        return f"{model.partition('/')[0].upper()}_API_KEY" if far else None
    match = _ADDRESS.fullmatch(name)
    if match is None or _LOOPBACK.match(value):
        return None
    return f"{match[1]}_API_KEY"


def names_of(fields: Collection[str]) -> list[str]:
    """Return the variables of settings.

    Args:
        fields: Names of settings.

    Returns:
        The same with the prefix, in upper case.
    """
    return [PREFIX + field.upper() for field in fields]
