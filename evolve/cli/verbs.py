"""Verbs and their modules.

A module is imported when one of its verbs is called, or when all verbs are listed.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from typer.core import TyperGroup
from typer.main import get_group

VERBS: Mapping[str, str] = {  # in the order of the help
    verb: module
    for module, verbs in (
        ("run", "run resume replay"),
        ("control", "status stop upgrade rescue"),
        ("optimize", "optimize"),
        ("write_task", "init import eval"),
        ("check", "check"),
        ("noise", "noise"),
        ("trust", "trust"),
        ("browse", "ls tree show diff best checkout"),
        ("judge", "verify compare"),
        ("look", "log watch stats plot rm"),
        ("steer", "tell ban add fork apply"),
        ("promote", "promote audit"),
        ("serve", "serve"),
        ("export", "export"),
        ("diagnose", "doctor"),
        ("models", "scripted-model"),
        ("look", "config"),
        ("diagnose", "sandbox"),
    )
    for verb in verbs.split()
}


class LazyCommands(Mapping[str, Any]):
    """The command of each verb, created on first use."""

    def __getitem__(self, verb: str) -> Any:
        """Return the command of a verb; raise `KeyError` for an unknown one."""
        return verbs_of(VERBS[verb])[verb]

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class LazyGroup(TyperGroup):
    """The program itself, which knows the names of its verbs before importing them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        commands: Any = LazyCommands()  # typer only looks up commands in it
        self.commands = commands

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all verbs, in the order of the help.

        Args:
            ctx: unused

        Returns:
            The names.
        """
        return list(VERBS)


@cache
def verbs_of(module: str) -> Mapping[str, Any]:
    """Return the commands of a module.

    Args:
        module: name of a module in this package

    Returns:
        Verb -> command.
    """
    return get_group(import_module(f"evolve.cli.{module}").app).commands
