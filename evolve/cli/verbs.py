"""Which file has which verb: a file is imported when one of its verbs is called, or all are listed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

VERBS: Mapping[str, str] = {  # in the order of the help
    verb: module
    for module, verbs in (
        ("run", "run resume replay"),
        ("control", "status stop upgrade"),
        ("write_task", "init import eval"),
        ("check", "check"),
        ("browse", "ls tree show diff best checkout"),
        ("judge", "verify compare"),
        ("look", "log watch stats plot rm"),
        ("steer", "tell ban add fork apply"),
        ("promote", "promote audit"),
        ("serve", "serve"),
        ("export", "export"),
        ("diagnose", "doctor"),
        ("models", "scripted-model"),
        ("simulate", "simulate"),
        ("look", "config"),
        ("diagnose", "sandbox"),
    )
    for verb in verbs.split()
}


class LazyCommands(Mapping[str, Any]):
    """The command of each verb, made when somebody asks for it."""

    def __getitem__(self, verb: str) -> Any:
        """Raises `KeyError` for a verb that there is not."""
        return verbs_of(VERBS[verb])[verb]

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class LazyGroup(TyperGroup):
    """The program itself: it knows the names of its verbs before it has imported them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        commands: Any = LazyCommands()  # typer only looks things up in it
        self.commands = commands

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all verbs, in the order of the help."""
        return list(VERBS)


@cache
def verbs_of(module: str) -> Mapping[str, Any]:
    """The commands that a file of this package registers."""
    part = typer.Typer()
    import_module(f"evolve.cli.{module}").register(part)
    return get_group(part).commands
