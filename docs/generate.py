"""Writes docs/reference.md from the code: `python docs/generate.py`. A test holds the two together."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from evolve.archive import schema
from evolve.cli.main import app
from evolve.config import Settings
from evolve.models.endpoints import ENDPOINTS
from evolve.operators import OPERATORS, Operator
from evolve.plugins import find_class
from evolve.search import POLICIES, Policy
from evolve.tasks.spec import TaskSpec

PAGE = Path(__file__).with_name("reference.md")


def reference() -> str:
    """The whole page."""
    lines = [
        "# Reference",
        "",
        "Written by `python docs/generate.py`; do not edit.",
        "",
        "## Commands",
        "",
        *_commands(),
        "",
        "`evolve COMMAND --help` shows arguments and options. What reads takes `--json`.",
        "",
        "## Settings",
        "",
        "Flags come before `EVOLVE_NAME` variables, `.env`, `[run]` in `task.toml`, and",
        "`~/.config/evolve/config.toml`. `evolve config show --origin` says which one counts.",
        "",
        "| setting | default | what it does |",
        "| --- | --- | --- |",
        *_settings(),
        "",
        "## Parameters",
        "",
        "Of policies (`--policy beam:width=4`) and operators (`--operator syntactic:more=0.5=0.7`).",
        "",
        "| of | parameter | default | what it does |",
        "| --- | --- | --- | --- |",
        *_parameters("policy", POLICIES, Policy),
        *_parameters("operator", OPERATORS, Operator),
        "",
        "## task.toml",
        "",
        "| key | default | what it says |",
        "| --- | --- | --- |",
        *_keys(TaskSpec, ""),
        "",
        "## Providers",
        "",
        "Asked directly, as they speak OpenAI's protocol. Every other one needs litellm:",
        "`pip install 'evolutionary-code-search[llm]'`.",
        "",
        *_providers(),
        "",
        "## The database",
        "",
        f"Schema {schema.REVISION}. SQLite in `archive.db`; the code is in `code.git`.",
        "",
        *_tables(),
    ]
    return "\n".join(lines) + "\n"


def _commands() -> Iterator[str]:
    group: Any = typer.main.get_command(app)
    yield from ("| command | what it does |", "| --- | --- |")
    for name, command in group.commands.items():
        said = " ".join((command.help or "").split())
        yield f"| `{name}` | {said} |"


def _settings() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        yield f"| `{name}` | {_default(field)} | {field.description} |"


def _parameters(
    kind: str, built_in: Mapping[str, str], base: type[Any]
) -> Iterator[str]:
    for name in built_in:
        for key, field in find_class(
            kind, name, built_in, base
        ).Params.model_fields.items():
            yield f"| `{name}` | `{key}` | {_default(field)} | {field.description} |"


def _keys(model: type[BaseModel], before: str) -> Iterator[str]:
    """Keys of a table, and those of the tables in it."""
    for name, field in model.model_fields.items():
        inner = _inner(field.annotation)
        default = "" if inner else _default(field)
        yield f"| `{before}{name}` | {default} | {field.description or ''} |"
        if inner is not None:
            yield from _keys(inner, f"{before}{name}.")


def _inner(annotation: Any) -> type[BaseModel] | None:
    options = [annotation, *getattr(annotation, "__args__", ())]
    return next(
        (o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None
    )


def _providers() -> Iterator[str]:
    yield from (
        "| provider | usual address | variable of the address | variable of the key |",
        "| --- | --- | --- | --- |",
    )
    for name, endpoint in ENDPOINTS.items():
        addresses, keys = (
            ", ".join(f"`{variable}`" for variable in variables)
            for variables in (endpoint.address_variables, endpoint.key_variables)
        )
        if endpoint.own:
            keys += " if it wants one"
        yield f"| `{name}` | {endpoint.address or 'must be given'} | {addresses} | {keys} |"


def _tables() -> Iterator[str]:
    for table in schema.metadata.sorted_tables:
        yield from (
            f"### {table.name}",
            "",
            table.info["about"],
            "",
            "| column | what it is |",
            "| --- | --- |",
        )
        for column in table.columns:
            keys = [f"-> `{key.target_fullname}`" for key in column.foreign_keys]
            yield f"| `{column.name}` | {' '.join([*keys, column.doc or ''])} |"
        yield ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return (
        ""
        if field.default is None or field.default in ((), {})
        else f"`{field.default}`"
    )


if __name__ == "__main__":
    PAGE.write_text(reference())
    sys.stdout.write(f"{PAGE}\n")
