"""What a model costs. An unknown price is an error: a budget that can't be kept is worse than none."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolve.errors import ConfigError, did_you_mean
from evolve.models.endpoints import ENDPOINTS, endpoint_of, provider_of
from evolve.models.extra import find_litellm, pip_line
from evolve.models.names import ModelName

MILLION = 1e6


@dataclass(frozen=True)
class Price:
    """Dollars for one token, and for a second of a call where that is what costs."""

    prompt_usd: float
    reply_usd: float
    # for a prompt token that the server had in its cache
    cached_usd: float | None = None
    second_usd: float = 0.0

    def cost(
        self,
        prompt_tokens: int,
        reply_tokens: int,
        cached_tokens: int = 0,
        seconds: float = 0.0,
    ) -> float:
        """Dollars for a call."""
        cached = self.prompt_usd if self.cached_usd is None else self.cached_usd
        return (
            (prompt_tokens - cached_tokens) * self.prompt_usd
            + cached_tokens * cached
            + reply_tokens * self.reply_usd
            + seconds * self.second_usd
        )

    def bound(self, prompt_tokens: int, reply_tokens: int, seconds: float) -> float:
        """The most that such a call can cost: nothing comes from a cache."""
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
    """From the settings, else from litellm's list; one's own server is free unless it has a price.

    litellm is not imported where the settings name the price.

    Raises `ConfigError` naming the setting or the provider.
    """
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
    """Raises `ConfigError` for one that is not asked directly and that litellm does not know."""
    if endpoint_of(name.model) is not None:
        return
    provider, direct = provider_of(name.model), sorted(ENDPOINTS)
    litellm = find_litellm()
    if litellm is None:
        raise ConfigError(
            f"{name.model} needs litellm, which is not installed: {provider!r} is not asked directly",
            f"{_guess(provider, direct)}use one of {', '.join(direct)}, or for other providers: "
            f"{pip_line()}",
        )
    known = [str(getattr(one, "value", one)) for one in litellm.provider_list]
    if provider not in known:
        raise ConfigError(
            f"{name.model}: there is no provider {provider!r}",
            did_you_mean(provider, [*known, *direct]),
        )


def _guess(provider: str, direct: Sequence[str]) -> str:
    """A misspelled name's neighbour, as the beginning of a hint; empty where there is none."""
    close = difflib.get_close_matches(provider, direct, 1)
    return f"did you mean {close[0]!r}? Else " if close else ""


def _unknown(name: ModelName) -> ConfigError:
    """The price of a model is neither given nor listed."""
    given = (
        f"give it in dollars for a million tokens: --price {name.model}=PROMPT/REPLY (0/0 if it "
        "is free), or `price` in the settings"
    )
    if find_litellm() is not None:
        return ConfigError(f"the price of {name.model} is not known", given)
    return ConfigError(
        f"the price of {name.model} is not known: litellm, which lists many, is not "
        "installed",
        f"{given}; or install the list: {pip_line()}",
    )


def _listed(model: str) -> Price | None:
    """The price in litellm's list; None where it is not there, or there is no list."""
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
