"""Runs of this user and of others: a signature, and what a run of others wants.

A run directory decides what `resume`, `replay`, `verify`, `promote` and `fork` execute and
where keys are sent. So each is signed with a key of this user when it is created. A run
without this signature, such as a copy from somebody else, is *foreign*: it can be read, and
its owner accepts it with `--trust` before it executes anything. Copying or moving a run keeps
its signature valid.
"""

import os

from evolve.errors import TrustError
from evolve.models import asked_models, parse_model
from evolve.models.endpoints import endpoint_of
from evolve.runs.folder import RunFolder
from evolve.text import quoted
from evolve.trust.choices import ISOLATING, is_plugin


def require_own(run: RunFolder) -> None:
    """Refuse to execute a run of somebody else.

    Args:
        run: The run.

    Raises:
        TrustError: It has no valid signature of this user; names what it wants.
    """
    if run.is_own:
        return
    raise TrustError(
        f"the run {run.name} is not signed by you on this machine: somebody else made or "
        "changed it, or an earlier version of evolve\n  " + "\n  ".join(wishes_of(run)),
        "if you trust it with your account, repeat the command with --trust, or: "
        f"evolve trust {quoted(run.path)}",
    )


def wishes_of(run: RunFolder) -> list[str]:
    """Return what a run wants when it executes.

    Args:
        run: The run.

    Returns:
        One line each: sandbox, plugins, models with addresses and keys, commands.
    """
    settings = run.settings
    isolates = settings.sandbox in ISOLATING
    wishes = [
        f"sandbox: {settings.sandbox}"
        + ("" if isolates else ", which does not isolate: its programs run as you")
    ]
    plugins = [
        name for name in (settings.policy, *settings.operators) if is_plugin(name)
    ]
    wishes += [f"code of yours to import: {name}" for name in plugins]
    for model in asked_models(settings):
        name = parse_model(model)
        endpoint = endpoint_of(name.model)
        keys = endpoint.key_variables if endpoint else ()
        held = [key for key in keys if os.environ.get(key)]
        wishes.append(
            f"model: {model}" + (f", which is sent {', '.join(held)}" if held else "")
        )
    for model, options in settings.model_options.items():
        asked = ", ".join(f"{k}={v}" for k, v in options.headers.items())
        wishes.append(f"options of {model}" + (f", headers {asked}" if asked else ""))
    if settings.embedding and not asked_models(settings):
        wishes.append(f"model in this process: {settings.embedding}")
    if any(model.startswith("vllm:") for model in settings.model):
        wishes.append(f"command: {settings.vllm_command} {settings.vllm_options}")
    return wishes
