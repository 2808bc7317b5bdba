"""What an error of a model means: for the call, for the budget, and for the run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum

from evolve.errors import RunError
from evolve.models.names import ModelName

_NO_CONNECTION = (
    "ConnectError",
    "ClientConnectorError",
    "ConnectionRefusedError",
    "gaierror",
    "ClientConnectorDNSError",
    "ClientConnectorSSLError",
    "ClientConnectorCertificateError",
    "ClientProxyConnectionError",
    "ClientHttpProxyError",
)
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD")
CONTEXT_WORDS = (
    "context_length",
    "context length",
    "context limit",
    "context size",
    "maximum prompt length",
    "maximum number of tokens",
    "while limit is",
    "too long",
    "content_policy",
    "content policy",
    "safety system",
)
# OpenRouter's 403 for a prompt, not for a key
MODERATION_WORDS = ("flagged", "moderation")


class ModelFault(StrEnum):
    """What an error means for the call and for the run."""

    TRY_AGAIN = "try again"  # busy or broken for now; nothing was charged
    UNKNOWN = "unknown"  # it may have been carried out and charged
    PROMPT = "prompt"  # this prompt is too long or refused; others may pass
    FINAL = "final"  # wrong key, unknown model: no call will succeed


class ModelError(RunError):
    """A request that gave no reply."""

    def __init__(
        self,
        fault: ModelFault,
        message: str,
        hint: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.fault, self.retry_after_s = fault, retry_after_s
        self.exit_code = 2 if fault is ModelFault.FINAL else 1


def turned_away(error: BaseException | None) -> bool:
    """True when no connection was made or the server said no: nothing was carried out or charged.

    Everything else (half an answer, no answer, an answer that can't be read) may have been charged.
    """
    while error is not None:
        if type(error).__name__ in (*_NO_CONNECTION, "HTTPStatusError"):
            return True
        error = error.__cause__ or error.__context__
    return False


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What the server's Retry-After header says, in seconds."""
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None  # no header, or a date: then our own back-off


def final_fault(name: ModelName, text: str, advice: str) -> ModelError:
    """No call will succeed."""
    return ModelError(
        ModelFault.FINAL, text, f"{advice}; then: evolve doctor --model {name}"
    )


def endpoint_down(
    fault: ModelFault, text: str, retry_after: float | None = None
) -> ModelError:
    """It may be there again later."""
    hint = (
        "is the endpoint up? then: evolve resume; at another address: evolve resume --model "
        "NAME@URL"
    )
    return ModelError(fault, text, hint, retry_after)


def plain_text(name: ModelName, error: Exception) -> str:
    """The error's words on one line, with no key in them."""
    text = redact(str(getattr(error, "message", error)))
    return f"{name}: {' '.join(text.split())[:500]}"


def redact(text: str) -> str:
    """Cut every secret of the environment out of a text before it is shown or stored."""
    for name, value in os.environ.items():
        if len(value) >= 6 and any(word in name.upper() for word in _SECRET_WORDS):
            text = text.replace(value, "***")
    return text
