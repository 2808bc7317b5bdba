"""What a task directory may choose, and what only the user may.

A task may shape the search: its policy, operators, limits. It may not choose what stands
between its code and the user: sandbox, plugins, models, addresses, prices, commands, places.
"""

from collections.abc import Iterable, Mapping
from typing import Any

# A task may ask for these sandboxes, which isolate.
ISOLATING = ("auto", "docker", "bubblewrap")
_USER_FILE = "the user's configuration file, or the environment"
# Settings that only the user may choose -> how.
USER_ONLY: Mapping[str, str] = {
    "runs_dir": "--runs-dir DIR",
    "model": "--model NAME",
    "model_options": f"EVOLVE_MODEL_OPTIONS, in {_USER_FILE}",
    "novelty_judge": f"EVOLVE_NOVELTY_JUDGE, in {_USER_FILE}",
    "embedding": "--embedding NAME",
    "vllm_command": f"EVOLVE_VLLM_COMMAND, in {_USER_FILE}",
    "vllm_options": f"EVOLVE_VLLM_OPTIONS, in {_USER_FILE}",
    "price": "--price MODEL=PROMPT/REPLY",
    "price_per_second": f"EVOLVE_PRICE_PER_SECOND, in {_USER_FILE}",
}
# Limits of what a run may use: a task may lower the user's, not raise them.
COMMAND = "cmd:"  # before a command that answers as a model
LOWERED = ("budget_usd", "max_tokens", "max_calls", "max_time_s", "workers")


def user_choices(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings among a task's that only the user may choose.

    Args:
        values: The table [run] of the task.

    Returns:
        Key -> how the user chooses it: a flag, or a variable.
    """
    found = {key: USER_ONLY[key] for key in values if key in USER_ONLY}
    sandbox = values.get("sandbox", "auto")
    if sandbox not in ISOLATING:
        found["sandbox"] = f"--sandbox {sandbox}"
    policy = values.get("policy", "")
    if is_plugin(policy):
        found["policy"] = f"--policy {policy}"
    operators = values.get("operators", {})
    if plugins := [name for name in _names(operators) if is_plugin(name)]:
        found["operators"] = " ".join(f"--operator {name}" for name in plugins)
    return found


def commands_in(values: Mapping[str, Any]) -> list[str]:
    """Return the commands among the models that settings name.

    Args:
        values: Settings by name.

    Returns:
        Models that begin with `COMMAND`.
    """
    named = [values.get("model"), values.get("novelty_judge"), values.get("embedding")]
    flat = [
        one
        for value in named
        for one in ([value] if isinstance(value, str) else _names(value))
    ]
    return [str(one) for one in flat if str(one).startswith(COMMAND)]


def is_plugin(name: object) -> bool:
    """Return whether a policy or an operator is a class `package.module:Class`.

    Args:
        name: A name, maybe with parameters, such as `beam:width=4`.

    Returns:
        False for a built-in name, which is a plain word before its parameters.
    """
    from evolve.plugins import Chosen

    return isinstance(name, str) and ":" in Chosen.parse(name).name


def _names(operators: object) -> Iterable[object]:
    return operators if isinstance(operators, (Mapping, list, tuple)) else ()
