"""Prompts as jinja2 templates.

The task's `prompts/` overrides the user's (~/.config/evolve/prompts), and both override
the built-in ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from evolve.errors import ConfigError
from evolve.operators.tokens import CountTokens, by_bytes

PROMPT_TOKENS = 16_000  # for a whole prompt, by default


# Templates of tasks of older runs: name -> the name that they may still have.
OLDER_NAMES = {"prompt_context.j2": "evidence.j2"}


class _FolderLoader(jinja2.FileSystemLoader):
    """Templates in a folder, which may have their older names."""

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        try:
            return super().get_source(environment, template)
        except jinja2.TemplateNotFound:
            older = OLDER_NAMES.get(template, template)
            return super().get_source(environment, older)


@dataclass(frozen=True)
class Prompts:
    """Templates, and the length limit of a prompt.

    Attributes:
        folders: searched in order before the built-in templates
        tokens: greatest length of a prompt
        count: counts the tokens of a text
    """

    folders: tuple[Path, ...] = ()
    tokens: int = PROMPT_TOKENS
    count: CountTokens = by_bytes
    _environments: list[jinja2.Environment] = field(
        default_factory=list, compare=False, repr=False
    )

    def check(self) -> None:
        """Parse all templates.

        Raises:
            ConfigError: a template can't be parsed
        """
        for name in self._environment.list_templates():
            if name.endswith(".j2"):
                self._template(name)

    def render(self, template: str, **values: Any) -> str:
        """Render one template.

        Args:
            template: its file name
            values: values for the template

        Returns:
            The text.

        Raises:
            ConfigError: a syntax error or an unknown value; the message names the file
        """
        found = self._template(template)
        try:
            return found.render(**values)
        except jinja2.TemplateError as error:
            raise ConfigError(
                f"{found.filename}: {error}", "known values: " + ", ".join(values)
            ) from None

    def chat(self, question: str) -> list[dict[str, str]]:
        """Return a chat of the system prompt and a question.

        Args:
            question: The user's message.

        Returns:
            Messages with `role` and `content`.
        """
        return [
            {"role": "system", "content": self.render("system.j2")},
            {"role": "user", "content": question},
        ]

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
                *map(_FolderLoader, self.folders),
                jinja2.PackageLoader("evolve.operators", "prompts"),
            ]
            made = jinja2.Environment(
                loader=jinja2.ChoiceLoader(loaders),
                autoescape=False,
                trim_blocks=True,
                undefined=jinja2.StrictUndefined,
                lstrip_blocks=True,
                auto_reload=False,
            )  # a run keeps the prompts that it started with
            made.filters["exact"] = repr  # scores at full precision
            made.filters["oneline"] = lambda text: " ".join(str(text).split())[:300]
            self._environments.append(made)
        return self._environments[0]
