"""Names of models.

They have the form provider/name, with an address where one is needed:
hosted_vllm/NAME@http://host/v1.
"""

import re
import shlex
from dataclasses import dataclass, replace

from evolve.config import Settings
from evolve.errors import ConfigError
from evolve.models.endpoints import endpoint_of
from evolve.trust.choices import COMMAND

LOCAL = "vllm:"
# Names of servers at their usual ports -> provider.
SERVERS = {"ollama:": "ollama", "lmstudio:": "lm_studio", "llamacpp:": "llamafile"}
INSIDE = "transformer:"  # before the name or the folder of a sentence transformer
# and not the version in provider/name@001
_ADDRESS = re.compile(r"@(?=[^@]*[:/]|localhost)[^@]+$")


@dataclass(frozen=True)
class ModelName:
    """A provider's model and its address.

    Attributes:
        model: provider/name
        api_base: address from the name; None for the provider's
        local: name or path of a model that this run serves; None for others
        command: a command that answers instead of a server; None for others
        prefix: short name of a server that was used, such as `ollama:`
    """

    model: str
    api_base: str | None = None
    local: str | None = None
    command: str | None = None
    prefix: str = ""

    @property
    def self_hosted(self) -> bool:
        """Whether the server is self-hosted, so that it sends no bill."""
        endpoint = endpoint_of(self.model)
        return endpoint is not None and endpoint.own

    @property
    def unmetered(self) -> bool:
        """Whether its calls have no price, so that no budget in dollars bounds them."""
        return self.command is not None

    def __str__(self) -> str:
        if self.command is not None:
            return f"{COMMAND}{self.command}"
        if self.local is not None:
            return f"{LOCAL}{self.local}"
        short = self.model.partition("/")[2]
        name = f"{self.prefix}{short}" if self.prefix else self.model
        return name if self.api_base is None else f"{name}@{self.api_base}"


# how the names of models begin that one provider has
_WELL_KNOWN = (
    *((start, "openai") for start in ("gpt-", "chatgpt-", "o1", "o3", "o4")),
    ("claude-", "anthropic"),
    ("gemini-", "gemini"),
    *((start, "mistral") for start in ("mistral-", "codestral-", "devstral-")),
    ("deepseek-", "deepseek"),
    ("grok-", "xai"),
    ("command-", "cohere"),
)


def parse_model(text: str) -> ModelName:
    """Parse the name of a model.

    Args:
        text: `provider/name`, a well-known name alone, `provider/name@http://host:port/v1`, `ollama:NAME`,
            `lmstudio:NAME`, `llamacpp:NAME`, `vllm:NAME_OR_PATH` or `cmd:COMMAND`

    Returns:
        Its parts.

    Raises:
        ConfigError: the text has none of these forms
    """
    if text.startswith(LOCAL) and len(text) > len(LOCAL):
        name = text.removeprefix(LOCAL)
        return ModelName(f"hosted_vllm/{name}", None, name)
    if text.startswith(COMMAND):
        return _command(text.removeprefix(COMMAND).strip())
    for prefix, provider in SERVERS.items():
        if text.startswith(prefix) and len(text) > len(prefix):
            short = parse_model(f"{provider}/{text.removeprefix(prefix)}")
            return replace(short, prefix=prefix)
    model, _, base = text.partition("@http")
    if not base and "/" not in model and (guessed := _guessed(model)):
        return ModelName(f"{guessed}/{model}")
    if "/" not in model or model.endswith("/") or model.startswith("/"):
        raise ConfigError(
            f"invalid model {text!r}",
            "use provider/name, for example openai/gpt-4o-mini or "
            "hosted_vllm/NAME@http://localhost:8000/v1; or ollama:NAME, lmstudio:NAME, "
            "llamacpp:NAME, vllm:NAME_OR_PATH, cmd:COMMAND",
        )
    if found := _ADDRESS.search(model):
        raise ConfigError(
            f"invalid model {text!r}: its address does not begin with http:// or https://",
            f"use for example {model[: found.start()]}@http://{found[0][1:]}",
        )
    return ModelName(model, f"http{base}" if base else None)


def _guessed(model: str) -> str | None:
    """Return the provider of a well-known name without one; None if it is not known."""
    known = (provider for start, provider in _WELL_KNOWN if model.startswith(start))
    return next(known, None)


def _command(text: str) -> ModelName:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(
            f"invalid command {text!r}: {error}",
            "close its quotes, for example cmd:'claude -p'",
        ) from None
    if not words:
        raise ConfigError("cmd: names no command", "use for example cmd:'claude -p'")
    return ModelName(f"{COMMAND}{words[0]}", command=text)


def asked_models(settings: Settings) -> list[str]:
    """Return all models that a run may send requests to.

    Args:
        settings: of the run

    Returns:
        Names of models for proposals, novelty judge and embeddings, without duplicates.
    """
    vectors = settings.embedding
    remote = [vectors] if vectors and not vectors.startswith(INSIDE) else []
    judge = [settings.novelty_judge] if settings.novelty_judge else []
    return [*dict.fromkeys([*settings.model, *judge, *remote])]
