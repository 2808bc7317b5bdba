"""What a model costs. An unknown price is an error: a budget that can't be kept is worse than none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evolve.errors import ConfigError
from evolve.llm.names import ModelName

MILLION = 1e6


@dataclass(frozen=True)
class Price:
    """Dollars for one token."""

    prompt_usd: float
    reply_usd: float

    def cost(self, prompt_tokens: int, reply_tokens: int) -> float:
        """Dollars for a call."""
        return prompt_tokens * self.prompt_usd + reply_tokens * self.reply_usd


def price_of(name: ModelName, given: Mapping[str, tuple[float, float]]) -> Price:
    """From the settings, else from litellm's list; one's own server is free unless it has a price.

    Raises `ConfigError` naming the setting.
    """
    for key in (str(name), name.model):
        if key in given:
            prompt, reply = given[key]
            return Price(prompt / MILLION, reply / MILLION)
    if name.self_hosted:
        return Price(0.0, 0.0)
    known = _listed(name.model)
    if known is None:
        raise ConfigError(
            f"the price of {name.model} is not known",
            f"give it in dollars for a million tokens: --price {name.model}=PROMPT/REPLY (0/0 if it is "
            "free), or `price` in the settings")
    return known


def _listed(model: str) -> Price | None:
    from evolve.llm.client import load_litellm

    table = load_litellm().model_cost
    for key in (model, model.partition("/")[2]):
        row = table.get(key)
        if row and row.get("input_cost_per_token") is not None:
            return Price(float(row["input_cost_per_token"]),
                         float(row.get("output_cost_per_token") or 0.0))
    return None
