"""Prices of models.

An unknown price is an error, because a budget that can't be kept is worse than none.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolve.errors import ConfigError, did_you_mean, pip_line
from evolve.models.endpoints import ENDPOINTS, endpoint_of, provider_of
from evolve.models.extra import EXTRA, find_litellm
from evolve.models.names import ModelName

MILLION = 1e6


@dataclass(frozen=True)
class Price:
    """Price of a model in dollars per token, and per second if time is charged.

    Attributes:
        prompt_usd: per prompt token
        reply_usd: per reply token
        cached_usd: per prompt token that the server had cached; None: the full price
        second_usd: per second of a call
    """

    prompt_usd: float
    reply_usd: float
    cached_usd: float | None = None
    second_usd: float = 0.0

    def cost(
        self,
        prompt_tokens: int,
        reply_tokens: int,
        cached_tokens: int = 0,
        seconds: float = 0.0,
    ) -> float:
        """Return the cost of a call.

        Args:
            prompt_tokens: including cached ones
            reply_tokens: tokens of the reply
            cached_tokens: prompt tokens that the server had cached
            seconds: duration of the call

        Returns:
            Dollars.
        """
        cached = self.prompt_usd if self.cached_usd is None else self.cached_usd
        return (
            (prompt_tokens - cached_tokens) * self.prompt_usd
            + cached_tokens * cached
            + reply_tokens * self.reply_usd
            + seconds * self.second_usd
        )

    def bound(self, prompt_tokens: int, reply_tokens: int, seconds: float) -> float:
        """Return the greatest possible cost of a call, with nothing cached.

        Args:
            prompt_tokens: greatest number
            reply_tokens: greatest number
            seconds: greatest duration

        Returns:
            Dollars.
        """
        most_expensive = max(self.prompt_usd, self.cached_usd or 0.0)
        return (
            prompt_tokens * most_expensive
            + reply_tokens * self.reply_usd
            + seconds * self.second_usd
        )


def price_of(
    name: ModelName,
    given: Mapping[str, tuple[float, ...]],
    per_second: Mapping[str, float] | None = None,
) -> Price:
    """Return the price of a model: from the settings, else from litellm's list.

    A self-hosted server is free unless it has a price, and a command always. litellm is not imported if the
    settings give the price.

    Args:
        name: the model
        given: model -> dollars per million prompt, reply and, optionally, cached tokens
        per_second: model -> dollars per second of a call

    Returns:
        The price.

    Raises:
        ConfigError: unknown provider or price; the message names the setting
    """
    if name.unmetered:
        return Price(0.0, 0.0)
    _check_provider(name)
    keys = (str(name), name.model)
    second = (
        next((per_second[key] for key in keys if key in per_second), 0.0)
        if per_second
        else 0.0
    )
    for key in keys:
        if key in given:
            prompt, reply, *cached = (dollars / MILLION for dollars in given[key])
            return Price(prompt, reply, cached[0] if cached else None, second)
    if name.self_hosted or second:
        return Price(0.0, 0.0, None, second)
    known = _listed(name.model)
    if known is None:
        raise _unknown(name)
    return known


def _check_provider(name: ModelName) -> None:
    """Raise `ConfigError` for a provider that is neither direct nor in litellm."""
    if endpoint_of(name.model) is not None:
        return
    provider, direct = provider_of(name.model), sorted(ENDPOINTS)
    litellm = find_litellm()
    if litellm is None:
        raise ConfigError(
            f"{name.model} needs litellm, which is not installed: {provider!r} is not asked directly",
            f"{_guess(provider, direct)}use one of {', '.join(direct)}, or for other providers: "
            f"{pip_line(EXTRA)}",
        )
    known = [str(getattr(one, "value", one)) for one in litellm.provider_list]
    if provider not in known:
        raise ConfigError(
            f"{name.model}: unknown provider {provider!r}",
            did_you_mean(provider, [*known, *direct]),
        )


def _guess(provider: str, direct: Sequence[str]) -> str:
    """Return the beginning of a hint with the closest name; empty if none is close."""
    close = difflib.get_close_matches(provider, direct, 1)
    return f"did you mean {close[0]!r}? Else " if close else ""


def _unknown(name: ModelName) -> ConfigError:
    """Return the error for a price that is neither given nor listed."""
    given = (
        f"give it in dollars for a million tokens: --price {name.model}=PROMPT/REPLY (0/0 if it "
        "is free), or `price` in the settings"
    )
    if find_litellm() is not None:
        return ConfigError(f"the price of {name.model} is not known", given)
    return ConfigError(
        f"the price of {name.model} is not known: litellm, which lists many, is not "
        "installed",
        f"{given}; or install the list: {pip_line(EXTRA)}",
    )


def _listed(model: str) -> Price | None:
    """Return the price in litellm's list; None if it is not listed or not installed."""
    litellm = find_litellm()
    table = {} if litellm is None else litellm.model_cost
    for key in (model, model.partition("/")[2]):
        row = table.get(key)
        if row and row.get("input_cost_per_token") is not None:
            cached = row.get("cache_read_input_token_cost")
            return Price(
                float(row["input_cost_per_token"]),
                float(row.get("output_cost_per_token") or 0.0),
                None if cached is None else float(cached),
            )
    return None
