"""Token counts, by the tokenizer that litellm knows for a model or by text length."""

from collections.abc import Callable, Sequence

from evolve.models.extra import find_litellm
from evolve.models.names import parse_model

BYTES_PER_TOKEN = 3
SMALL_BYTES = 3000  # up to this length the count is estimated


def counter_for(models: Sequence[str]) -> Callable[[str], int]:
    """Return a token counter for a run.

    litellm is imported when the first long text is counted. If it is not installed, and
    for self-hosted servers with tokenizers that it does not know, the count is an
    estimate.

    Args:
        models: names of the run's models; the tokenizer of the first one is used, since
            they differ little

    Returns:
        A function from a text to a number of tokens.
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
