"""Names of models: provider/name, with an address where one is needed: hosted_vllm/NAME@http://host/v1."""

from __future__ import annotations

import re
from dataclasses import dataclass

from evolve.config import Settings
from evolve.errors import ConfigError
from evolve.models.endpoints import endpoint_of

LOCAL = "vllm:"
INSIDE = "transformer:"  # before the name or the folder of a sentence transformer
# and not the version in provider/name@001
_ADDRESS = re.compile(r"@(?=[^@]*[:/]|localhost)[^@]+$")


@dataclass(frozen=True)
class ModelName:
    """A provider's model, and where it is asked."""

    model: str
    api_base: str | None = None
    local: str | None = None  # the name or path that we serve ourselves

    @property
    def self_hosted(self) -> bool:
        """True for servers of one's own, which send no bill."""
        endpoint = endpoint_of(self.model)
        return endpoint is not None and endpoint.own

    def __str__(self) -> str:
        if self.local is not None:
            return f"{LOCAL}{self.local}"
        return self.model if self.api_base is None else f"{self.model}@{self.api_base}"


def parse_model(text: str) -> ModelName:
    """`provider/name`, `provider/name@http://host:port/v1` or `vllm:NAME_OR_PATH`.

    Raises `ConfigError`.
    """
    if text.startswith(LOCAL) and len(text) > len(LOCAL):
        name = text.removeprefix(LOCAL)
        return ModelName(f"hosted_vllm/{name}", None, name)
    model, _, base = text.partition("@http")
    if "/" not in model or model.endswith("/") or model.startswith("/"):
        raise ConfigError(
            f"{text!r} names no model",
            "write provider/name, for example openai/gpt-4o-mini or "
            "hosted_vllm/NAME@http://localhost:8000/v1, or vllm:NAME_OR_PATH",
        )
    if found := _ADDRESS.search(model):
        raise ConfigError(
            f"{text!r}: the address of the model does not begin with http:// or https://",
            f"for example {model[: found.start()]}@http://{found[0][1:]}",
        )
    return ModelName(model, f"http{base}" if base else None)


def asked_models(settings: Settings) -> list[str]:
    """Every model that a run may send something to."""
    vectors = settings.embedding
    remote = [vectors] if vectors and not vectors.startswith(INSIDE) else []
    judge = [settings.novelty_judge] if settings.novelty_judge else []
    return [*dict.fromkeys([*settings.model, *judge, *remote])]
