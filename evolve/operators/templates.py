"""Prompts as jinja2 templates.

The task's `prompts/` overrides the user's (~/.config/evolve/prompts), and both override
the built-in ones. A task's template is a stranger's text: it sees plain data and can call
nothing but a few methods of texts, lists and dicts.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel

from evolve.errors import ConfigError
from evolve.operators.tokens import CountTokens, by_bytes

SHARED_TEXTS = 64  # that are kept
PROMPT_TOKENS = 16_000  # for a whole prompt, by default
_FILTERS = (
    "abs capitalize default d escape e first float int items join last length list lower "
    "map max min reject rejectattr replace reverse round select selectattr sort string sum "
    "title trim truncate unique upper wordcount"
)
_METHODS = (
    "strip lstrip rstrip split splitlines startswith endswith lower upper title count "
    "join replace get keys values items"
)
_PLAIN = (str, int, float, type(None), Mapping, list, tuple, BaseModel)


class PlainEnvironment(ImmutableSandboxedEnvironment):
    """An environment of jinja2 whose templates reach plain data only.

    They can't multiply texts or format by width, so a short one can't fill the memory.
    """

    intercepted_binops = frozenset(("*", "**", "%"))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow data, records of data, and a few methods of texts and containers."""
        if not super().is_safe_attribute(obj, attr, value):
            return False
        if callable(value) and not isinstance(value, Macro):
            owned = isinstance(obj, (str, list, tuple, Mapping))
            return (owned and attr in _METHODS.split()) or isinstance(obj, LoopContext)
        return isinstance(value, (*_PLAIN, Macro, LoopContext)) or is_dataclass(value)

    def is_safe_callable(self, obj: Any) -> bool:
        """Allow macros of the template, and methods that `is_safe_attribute` allows."""
        owner = getattr(obj, "__self__", None)
        return isinstance(obj, Macro) or (
            isinstance(owner, (str, list, tuple, Mapping, LoopContext))
            and super().is_safe_callable(obj)
        )

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Compute `*`, `**` and `%` of numbers only."""
        if not all(isinstance(side, (int, float)) for side in (left, right)) or (
            operator == "**" and abs(right) > 64
        ):
            raise SecurityError(f"{operator} is for small numbers only")
        return super().call_binop(context, operator, left, right)


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
        wider: the same for the run's own limit, if that of a model is smaller
        answers: whether a model that asks for a file gets it
    """

    folders: tuple[Path, ...] = ()
    tokens: int = PROMPT_TOKENS
    count: CountTokens = by_bytes
    wider: "Prompts | None" = None
    answers: bool = True

    def within(self, room: int | None) -> "Prompts":
        """Return the same templates for a model that takes less.

        Args:
            room: longest prompt of the model, in tokens; None: not known

        Returns:
            Templates with the smaller of both limits.
        """
        if room is None or room >= self.tokens:
            return self
        if room not in self._smaller:
            self._smaller[room] = replace(self, tokens=room, wider=self)
        return self._smaller[room]

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

    def render_shared(self, template: str, **values: Any) -> str:
        """Render one template as `render` does; the text is kept for the next prompts.

        Args:
            template: its file name
            values: values for the template, which must not change afterwards

        Returns:
            The text.

        Raises:
            ConfigError: a syntax error or an unknown value; the message names the file
        """
        key = (template, *values, *map(id, values.values()))
        if key not in self._shared:
            if len(self._shared) >= SHARED_TEXTS:
                self._shared.clear()
            self._shared[key] = self.render(template, **values), values
        return self._shared[key][0]

    def chat(self, question: str) -> list[dict[str, str]]:
        """Return a chat of the system prompt and a question.

        Args:
            question: The user's message.

        Returns:
            Messages with `role` and `content`.
        """
        return [
            {"role": "system", "content": self.render_shared("system.j2")},
            {"role": "user", "content": question},
        ]

    def _template(self, name: str) -> jinja2.Template:
        try:
            return self._environment.get_template(name)
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(
                f"{error.filename}:{error.lineno}: {error.message}"
            ) from None

    @cached_property
    def _shared(self) -> dict[object, tuple[str, object]]:
        """Template and identities of its values -> text, and the values, which thus live."""
        return {}

    @cached_property
    def _smaller(self) -> dict[int, "Prompts"]:
        """Limit -> the same templates with it."""
        return {}

    @cached_property
    def _environment(self) -> jinja2.Environment:
        loaders = [
            *map(_FolderLoader, self.folders),
            jinja2.PackageLoader("evolve.operators", "prompts"),
        ]
        made = PlainEnvironment(
            loader=jinja2.ChoiceLoader(loaders),
            autoescape=False,
            trim_blocks=True,
            undefined=jinja2.StrictUndefined,
            lstrip_blocks=True,
            auto_reload=False,
        )  # a run keeps the prompts that it started with
        made.globals.clear()
        made.filters = {name: made.filters[name] for name in _FILTERS.split()}
        made.filters["exact"] = repr  # scores at full precision
        made.filters["data"] = as_data
        made.filters["ticks"] = ticks
        made.filters["oneline"] = lambda text: " ".join(str(text).split())[:300]
        return made


def as_data(text: object) -> str:
    """Enclose a text of a candidate, so that it can't be taken for an instruction.

    Args:
        text: anything that a candidate, or a program of it, has written

    Returns:
        The text between delimiters that hold its hash (64 bits of BLAKE2b): no text can
        hold its own end, and equal texts give equal prompts.
    """
    content = str(text)
    digest = hashlib.blake2b(content.encode(errors="replace"), digest_size=8)
    name = f"data-{digest.hexdigest()}"
    line = "\n" if "\n" in content else ""
    return f"<{name}>{line}{content}{line}</{name}>"


def ticks(text: object) -> str:
    """Return a Markdown fence that is longer than each run of backticks in a text.

    Args:
        text: what the fence encloses

    Returns:
        At least three backticks.
    """
    runs = [len(run) for run in re.findall("`+", str(text))]
    return "`" * max(3, *(run + 1 for run in runs)) if runs else "```"
