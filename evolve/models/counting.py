"""How many tokens a text has, by the tokenizer that litellm knows for a model, or by its length."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evolve.models.extra import find_litellm
from evolve.models.names import parse_model

BYTES_PER_TOKEN = 3
SMALL_BYTES = 3000  # a text that short is estimated


def counter_for(models: Sequence[str]) -> Callable[[str], int]:
    """A counter for the first model of a run; the others' tokenizers differ by little.

    litellm is imported when the first text is counted that is worth it. Where it is not installed, and
    for a server of one's own, whose tokenizer it does not know, the count is an estimate.
    """
    first = parse_model(models[0]) if models else None
    name = first.model if first is not None and not first.self_hosted else ""

    def count(text: str) -> int:
        size = len(text.encode(errors="surrogatepass"))
        litellm = find_litellm() if name and size > SMALL_BYTES else None
        if litellm is None:
            return -(-size // BYTES_PER_TOKEN)
        return int(litellm.token_counter(model=name, text=text))

    return count
