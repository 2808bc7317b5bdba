"""Prompts are jinja2 files.

A task's own `prompts/` comes before the user's (~/.config/evolve/prompts), and both before ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from evolve.errors import ConfigError
from evolve.operators.tokens import CountTokens, by_bytes

PROMPT_TOKENS = 16_000  # for a whole prompt, unless the settings say otherwise


@dataclass(frozen=True)
class Prompts:
    """Templates, the length that a prompt may have, and how it is counted."""

    folders: tuple[Path, ...] = ()
    tokens: int = PROMPT_TOKENS
    count: CountTokens = by_bytes
    _environments: list[jinja2.Environment] = field(
        default_factory=list, compare=False, repr=False
    )

    def check(self) -> None:
        """Raises `ConfigError` for a template that can't be read."""
        for name in self._environment.list_templates():
            if name.endswith(".j2"):
                self._template(name)

    def render(self, template: str, **values: Any) -> str:
        """One template. Raises `ConfigError` naming its file."""
        found = self._template(template)
        try:
            return found.render(**values)
        except jinja2.TemplateError as error:
            raise ConfigError(
                f"{found.filename}: {error}", "known values: " + ", ".join(values)
            ) from None

    def _template(self, name: str) -> jinja2.Template:
        try:
            return self._environment.get_template(name)
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(
                f"{error.filename}:{error.lineno}: {error.message}"
            ) from None

    @property
    def _environment(self) -> jinja2.Environment:
        if not self._environments:
            loaders = [
                *map(jinja2.FileSystemLoader, self.folders),
                jinja2.PackageLoader("evolve.operators", "prompts"),
            ]
            made = jinja2.Environment(
                loader=jinja2.ChoiceLoader(loaders),
                autoescape=False,
                trim_blocks=True,
                undefined=jinja2.StrictUndefined,
                lstrip_blocks=True,
                auto_reload=False,
            )  # a run keeps the prompts that it began with
            made.filters["exact"] = repr  # scores at full precision
            made.filters["oneline"] = lambda text: " ".join(str(text).split())[:300]
            self._environments.append(made)
        return self._environments[0]
