"""Providers with servers that speak OpenAI's protocol, which are asked directly.

Addresses, variables and refused parameters are those of litellm 1.110
(`get_llm_provider_logic.py`, and `get_supported_openai_params` of each provider). All
other providers are asked through litellm.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_VERSION = "/v1"
# OpenAI's o1, o3, o4-mini, gpt-5, ...
_REASONING = re.compile(r"(o\d|gpt-([5-9]|\d\d))(?!.*-chat)")


@dataclass(frozen=True)
class Endpoint:
    """Address of a provider's models, and how its requests differ from OpenAI's.

    Attributes:
        address: base of its routes; None if it must be given
        address_variables: environment variables that override the address; the first
            that is set counts
        key_variables: environment variables with the key; the first that is set counts
        own: self-hosted: it sends no bill and works without a key
        unversioned: whether addresses are usually given without the final /v1
        refused: parameters that it does not accept
        renamed: parameters that have another name
        folder: prefix for model names that are given without one
    """

    address: str | None
    address_variables: tuple[str, ...]
    key_variables: tuple[str, ...]
    own: bool = False
    unversioned: bool = False
    refused: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""

    def base(self, given: str | None) -> str | None:
        """Return the address to ask.

        Args:
            given: address from the model's name, or None

        Returns:
            The given address, else that of a variable, else the usual one; None if all
            are missing.
        """
        address = given or _first_set(self.address_variables) or self.address
        if address is None:
            return None
        address = address.rstrip("/")
        return (
            address + _VERSION
            if self.unversioned and not address.endswith(_VERSION)
            else address
        )

    @property
    def key(self) -> str | None:
        """The key from the environment; None if no variable is set."""
        return _first_set(self.key_variables)

    def body(self, model: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a request in the form that this provider accepts.

        Args:
            model: name without the provider
            request: keys of OpenAI's protocol

        Returns:
            The body, with the model's name.
        """
        name = model if "/" in model else self.folder + model
        accepted = {
            self.renamed.get(key, key): value
            for key, value in request.items()
            if key not in self.refused
        }
        if self is ENDPOINTS["openai"] and _REASONING.match(model):
            renamed = {"max_tokens": "max_completion_tokens"}
            accepted = {
                renamed.get(key, key): value
                for key, value in accepted.items()
                if key != "temperature"
            }
        return {"model": name, **accepted}


def provider_of(model: str) -> str:
    """Return the provider in a model's name.

    Args:
        model: provider/name

    Returns:
        The part before the first slash.
    """
    return model.partition("/")[0]


def endpoint_of(model: str) -> Endpoint | None:
    """Return the endpoint of a model that is asked directly.

    Args:
        model: provider/name

    Returns:
        The endpoint; None for a model that needs litellm.
    """
    return ENDPOINTS.get(provider_of(model))


# Provider of a self-hosted server -> the command that starts one.
_STARTS = {
    "ollama": "ollama serve",
    "ollama_chat": "ollama serve",
    "lm_studio": "lms server start",
    "llamafile": "llama-server -m MODEL.gguf --port {port}",
    "hosted_vllm": "vllm serve {name} --port {port}",
}


def start_of(model: str, address: str) -> str:
    """Return the advice for a server on this machine that does not run.

    Args:
        model: provider/name
        address: of the server

    Returns:
        The command that starts it, as far as it is known.
    """
    provider, _, name = model.partition("/")
    command = _STARTS.get(provider)
    if command is None:
        return f"start the server at {address}, or correct the address"
    port = urlsplit(address).port or 80
    return f"start it: {command.format(name=name, port=port)}"


def _first_set(variables: Iterable[str]) -> str | None:
    return next((value for name in variables if (value := os.environ.get(name))), None)


def _own(address: str | None, prefix: str, **more: Any) -> Endpoint:
    return Endpoint(
        address, (f"{prefix}_API_BASE",), (f"{prefix}_API_KEY",), own=True, **more
    )


def _service(
    address: str,
    prefix: str,
    *more_keys: str,
    refused: tuple[str, ...] = (),
    **more: Any,
) -> Endpoint:
    return Endpoint(
        address,
        (f"{prefix}_API_BASE",),
        (f"{prefix}_API_KEY", *more_keys),
        refused=frozenset(refused),
        **more,
    )


_OLLAMA = _own(
    "http://localhost:11434/v1", "OLLAMA", unversioned=True, refused=frozenset({"n"})
)

ENDPOINTS: Mapping[str, Endpoint] = {
    "openai": Endpoint(
        "https://api.openai.com/v1",
        ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        ("OPENAI_API_KEY",),
    ),
    "hosted_vllm": _own(None, "HOSTED_VLLM"),
    "ollama": _OLLAMA,
    "ollama_chat": _OLLAMA,
    "lm_studio": _own("http://localhost:1234/v1", "LM_STUDIO"),
    "llamafile": _own("http://localhost:8080/v1", "LLAMAFILE"),
    "openrouter": _service("https://openrouter.ai/api/v1", "OPENROUTER", "OR_API_KEY"),
    "cerebras": _service("https://api.cerebras.ai/v1", "CEREBRAS", refused=("n",)),
    "deepinfra": _service(
        "https://api.deepinfra.com/v1/openai", "DEEPINFRA", refused=("seed",)
    ),
    "deepseek": _service("https://api.deepseek.com/v1", "DEEPSEEK"),
    "fireworks_ai": _service(
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS",
        "FIREWORKS_AI_API_KEY",
        "FIREWORKSAI_API_KEY",
        folder="accounts/fireworks/models/",
    ),
    "groq": _service("https://api.groq.com/openai/v1", "GROQ"),
    "mistral": _service(
        "https://api.mistral.ai/v1",
        "MISTRAL",
        refused=("n",),
        unversioned=True,
        renamed={"seed": "random_seed"},
    ),
    "nvidia_nim": _service(
        "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM", refused=("n",)
    ),
    "together_ai": Endpoint(
        "https://api.together.ai/v1",
        ("TOGETHER_AI_API_BASE",),
        ("TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY"),
    ),
    "xai": _service("https://api.x.ai/v1", "XAI"),
}
