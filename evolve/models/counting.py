"""Token counts, by the tokenizer that litellm knows for a model or by text length."""

from collections.abc import Callable, Sequence

from evolve.models.extra import find_litellm
from evolve.models.names import ModelName, parse_model

BYTES_PER_TOKEN = 3
CHARS_PER_TOKEN = 4  # of a text whose usage a server does not report
SMALL_BYTES = 3000  # up to this length the count is estimated
Counter = Callable[[str], int]


def counter_for(models: Sequence[str]) -> Counter:
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
    name = _known_tokenizer(first) if first is not None else ""

    def count(text: str) -> int:
        size = len(text.encode(errors="surrogatepass"))
        litellm = find_litellm() if name and size > SMALL_BYTES else None
        if litellm is None:
            return -(-size // BYTES_PER_TOKEN)
        return int(litellm.token_counter(model=name, text=text))

    return count


def usage_counter(name: ModelName) -> Counter:
    """Return a counter for texts whose usage a server does not report.

    Args:
        name: the model

    Returns:
        A function from a text to a number of tokens: by the model's tokenizer if litellm
        has been imported and knows it, else 4 characters a token.
    """
    known = _known_tokenizer(name)

    def count(text: str) -> int:
        used = find_litellm.cache_info().currsize > 0
        litellm = find_litellm() if known and used else None
        if litellm is None:
            return -(-len(text) // CHARS_PER_TOKEN)
        return int(litellm.token_counter(model=known, text=text))

    return count


def _known_tokenizer(name: ModelName) -> str:
    """Return the name under which litellm may know a tokenizer; empty for none."""
    return "" if name.self_hosted or name.command is not None else name.model
