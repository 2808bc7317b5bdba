"""One request to a model: by OpenAI's protocol, through litellm, or to a command."""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from evolve.config import ModelOptions
from evolve.errors import ConfigError
from evolve.models import command, litellm_client
from evolve.models.adapting import Manner
from evolve.models.answers import Completion, read_completion
from evolve.models.compatible import CompatibleServer
from evolve.models.counting import usage_counter
from evolve.models.endpoints import Endpoint, endpoint_of, provider_of
from evolve.models.errors import ModelError, ModelFault, malformed
from evolve.models.names import ModelName
from evolve.models.sizes import window_of

GRACE_S = 0.5
LIST_S = 5.0  # for the list of a server's models
Messages = list[dict[str, str]]
Answer = dict[str, Any]
_T = TypeVar("_T")
_AS_USUAL = Manner()


class Embedded(NamedTuple):
    """Vectors of texts.

    Attributes:
        vectors: one per text; their length depends on the model
        tokens: tokens of all texts together
        estimated: whether the server reported none, so that they were counted here
    """

    vectors: list[list[float]]
    tokens: int
    estimated: bool = False


@dataclass(frozen=True)
class SamplingParams:
    """Parameters of a request, apart from the messages.

    Attributes:
        max_tokens: limit of each reply
        seed: for sampling
        temperature: for sampling; None: as the server does
        samples: number of replies
        more: further parameters of the model
    """

    max_tokens: int
    seed: int
    temperature: float | None
    samples: int = 1
    more: Mapping[str, Any] = field(default_factory=dict)

    def request(self, messages: Messages) -> dict[str, Any]:
        """Return the body of the request, without the model's name.

        Args:
            messages: the chat

        Returns:
            Keys of OpenAI's protocol; `n` only for several samples.
        """
        warmth = {} if self.temperature is None else {"temperature": self.temperature}
        several = {"n": self.samples} if self.samples > 1 else {}
        return {
            "messages": messages,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            **warmth,
            **several,
            **self.more,
        }


class Listed(NamedTuple):
    """Facts that a server reports about its models.

    Attributes:
        models: names of all its models
        window: context of the model that was asked about, in tokens; None: not told
    """

    models: tuple[str, ...] = ()
    window: int | None = None


@dataclass(frozen=True)
class Client:
    """Client of any model: by OpenAI's protocol if its server speaks it, else litellm.

    Attributes:
        timeout_s: limit for one request, in seconds
        addresses: model name -> address, for models served by this run
        options: model name -> its changed parameters
    """

    timeout_s: float
    addresses: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, ModelOptions] = field(default_factory=dict)
    _servers: dict[tuple[str, str], CompatibleServer] = field(default_factory=dict)

    async def complete(
        self,
        name: ModelName,
        messages: Messages,
        ask: SamplingParams,
        manner: Manner = _AS_USUAL,
    ) -> Completion:
        """Send one chat request, without retries.

        Args:
            name: the model
            messages: the chat
            ask: sampling parameters
            manner: the form of a request that the model accepts

        Returns:
            The replies and their usage.

        Raises:
            ModelError: no usable reply; its `fault` shows whether it may have been
                charged
            ConfigError: litellm is needed and not installed
        """
        request = ask.request(messages)
        if name.command is not None:
            async with self._limited(name):
                return await command.complete(name, messages, usage_counter(name))
        answer = await self._post(name, "chat/completions", request, manner)
        count = usage_counter(name)
        return _in_form(name, lambda: read_completion(name, answer, request, count))

    async def embed(self, name: ModelName, texts: list[str]) -> Embedded:
        """Request the vectors of texts, without retries.

        Args:
            name: the model
            texts: at least one

        Returns:
            One vector per text.

        Raises:
            ModelError: no usable reply; its `fault` shows whether it may have been
                charged
            ConfigError: litellm is needed and not installed
        """
        answer = await self._post(name, "embeddings", {"input": texts}, _AS_USUAL)
        return _in_form(name, lambda: _read_vectors(name, answer, texts))

    async def listed(self, name: ModelName) -> Listed:
        """Ask a self-hosted server for its models, without retries.

        Args:
            name: the model

        Returns:
            Its models and the model's context; nothing for a provider, and for a server
            without such a list.

        Raises:
            ModelError: no server listens at an address of this machine
        """
        endpoint = _endpoint(name)
        server = self._server(name)
        if endpoint is None or server is None or not (endpoint.own or server.is_nearby):
            return Listed()
        try:
            async with asyncio.timeout(LIST_S):
                rows = await server.models(name)
        except TimeoutError:
            return Listed()
        wanted = name.model.partition("/")[2]
        found = next((row for row in rows if row["id"] == wanted), None)
        # llama.cpp serves one model and ignores the name
        if found is None and len(rows) == 1 and provider_of(name.model) == "llamafile":
            found = rows[0]
        window = None if found is None else window_of(found)
        return Listed(tuple(str(row["id"]) for row in rows), window)

    def options_of(self, name: ModelName) -> ModelOptions:
        """Return the changed parameters of a model.

        Args:
            name: the model

        Returns:
            The options under its full name, else under its name without an address.
        """
        return options_in(self.options, name)

    def _server(self, name: ModelName) -> CompatibleServer | None:
        """Return the model's server; None if it is asked through litellm."""
        endpoint = _endpoint(name)
        if endpoint is None:
            return None
        base = endpoint.base(name.api_base or self.addresses.get(str(name)))
        if base is None:
            raise ModelError(
                ModelFault.FINAL, f"{name}: the address of its server is not known"
            )
        key = (base, provider_of(name.model))
        if key not in self._servers:
            self._servers[key] = CompatibleServer(base, endpoint)
        return self._servers[key]

    async def _post(
        self, name: ModelName, path: str, request: Answer, manner: Manner
    ) -> Answer:
        """Return an answer within the time limit for the whole request."""
        if name.command is not None:
            raise ConfigError(
                f"{name} answers questions and makes no vectors",
                "use --embedding transformer:NAME, or an embedding model",
            )
        server = self._server(name)
        headers = headers_of(name, self.options_of(name))
        async with self._limited(name):
            if server is None:
                return await litellm_client.ask(
                    path, name, manner.shape(request), self.timeout_s, headers
                )
            return await server.post(path, name, request, manner.shape, headers)

    def _limited(self, name: ModelName) -> "_TimeLimit":
        return _TimeLimit(name, self.timeout_s)

    async def aclose(self) -> None:
        """Close the connections, including those that litellm keeps for reuse."""
        for server in self._servers.values():
            await server.close()
        self._servers.clear()
        await litellm_client.close()


class _TimeLimit:
    """Context manager: a request that takes too long may have been carried out.

    Args:
        name: the model
        seconds: limit
    """

    def __init__(self, name: ModelName, seconds: float) -> None:
        self._name, self._seconds = name, seconds
        self._timeout = asyncio.timeout(seconds + GRACE_S)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *raised: Any) -> None:
        try:
            await self._timeout.__aexit__(*raised)
        except TimeoutError:
            raise ModelError(
                ModelFault.UNKNOWN,
                f"{self._name}: no complete answer in {self._seconds:g} s",
                "raise call_timeout_s, or lower reply_tokens",
            ) from None


def _endpoint(name: ModelName) -> Endpoint | None:
    """Return how a model is asked directly; None if it is asked through litellm.

    A server whose address is given is asked directly if it speaks OpenAI's protocol: then
    its answers are taken in all their forms.
    """
    if name.command is not None:
        return None
    found = endpoint_of(name.model)
    provider = provider_of(name.model)
    if found is None and name.api_base and litellm_client.speaks_openai(provider):
        prefix = provider.upper().replace("-", "_")
        return Endpoint(None, (f"{prefix}_API_BASE",), (f"{prefix}_API_KEY",), own=True)
    return found


def options_in(options: Mapping[str, ModelOptions], name: ModelName) -> ModelOptions:
    """Return the changed parameters of a model.

    Args:
        options: model -> options
        name: the model

    Returns:
        The options under its full name, else under its name without an address.
    """
    return options.get(str(name), options.get(name.model)) or ModelOptions()


def headers_of(name: ModelName, options: ModelOptions) -> dict[str, str]:
    """Return the headers of a model's requests; `$NAME` is a variable's value.

    Args:
        name: the model
        options: with headers

    Returns:
        Header -> value.

    Raises:
        ConfigError: a variable is not set
    """
    found = {}
    for header, value in options.headers.items():
        variable = value.removeprefix("$")
        if value.startswith("$") and variable not in os.environ:
            raise ConfigError(
                f"{name}: the header {header} needs the variable {variable}, which is not set",
                "set it in the environment or in .env",
            )
        found[header] = os.environ[variable] if value.startswith("$") else value
    return found


def check_key(
    name: ModelName, options: Mapping[str, ModelOptions] | None = None
) -> None:
    """Check that a model can be asked: its key, address and client are known.

    Args:
        name: the model
        options: model -> options

    Raises:
        ConfigError: the provider's key, a header's value, the server's address or litellm
            is missing
    """
    headers_of(name, options_in(options or {}, name))
    if name.command is not None:
        command.check(name)
        return
    endpoint = _endpoint(name)
    if endpoint is None:
        litellm_client.check_key(name)
        return
    if name.local is None and endpoint.base(name.api_base) is None:
        raise ConfigError(
            f"where is the server of {name}?",
            f"write {name}@http://HOST:PORT/v1, or set {endpoint.address_variables[0]}",
        )
    if not endpoint.own and endpoint.key is None:
        raise ConfigError(
            f"{name.model} needs a key: {' or '.join(endpoint.key_variables)} is not set",
            "set it in the environment or in .env, never in task.toml",
        )


def _in_form(name: ModelName, read: Callable[[], _T]) -> _T:
    """Call `read`; an unexpected format is an error that may have been charged."""
    try:
        return read()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise malformed(name, f"its answer has an unexpected format: {error}") from None


def _read_vectors(name: ModelName, answer: Answer, texts: list[str]) -> Embedded:
    rows, usage = answer.get("data") or [], answer.get("usage") or {}
    if len(rows) != len(texts) or any(not row.get("embedding") for row in rows):
        raise malformed(name, "it did not return one embedding per text")
    tokens = int(usage.get("prompt_tokens") or usage.get("total_tokens") or 0)
    count = usage_counter(name)
    return Embedded(
        [row["embedding"] for row in rows],
        tokens or sum(map(count, texts)),
        estimated=tokens == 0,
    )
