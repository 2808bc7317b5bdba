"""The meaning of a model's errors for the call, the budget and the run."""

import json
import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

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
SHOWN = 500  # characters of a server's message
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD")
CONTEXT_WORDS = (
    "context_length",
    "context length",
    "context limit",
    "context size",
    "maximum prompt length",
    "maximum number of tokens",
    "context window",
    "context_window",
    "context the overflows",
    "available context",
    "exceed_context",
    "while limit is",
    "too long",
    "input token count",
    "`inputs` tokens",
    "reduce the length",
    "request too large",
)
POLICY_WORDS = ("content_policy", "content policy", "safety system")
# OpenRouter's 403 for a prompt, not for a key
MODERATION_WORDS = ("flagged", "moderation")


class ModelFault(StrEnum):
    """Meaning of an error for the call and for the run."""

    TRY_AGAIN = "try again"  # temporarily busy or broken; nothing was charged
    UNKNOWN = "unknown"  # the call may have been carried out and charged
    PROMPT = "prompt"  # this prompt is too long or refused; others may pass
    FINAL = "final"  # wrong key, unknown model: no call will succeed


class Refusal(NamedTuple):
    """A request that a server refused, for its parameters or its size.

    Attributes:
        text: all that the server sent
        sent: body of the request
    """

    text: str
    sent: Mapping[str, Any]

    @property
    def about_size(self) -> bool:
        """Whether the request was too long."""
        said = said_by(self.text).lower()
        return any(word in said for word in CONTEXT_WORDS)


class ModelError(RunError):
    """A request that gave no reply.

    Args:
        fault: its meaning
        message: for people, without keys
        hint: what to do next
        retry_after_s: pause that the server asks for, in seconds; None without one

    Attributes:
        refusal: set if other parameters or sizes may be accepted
        malformed: whether an answer came that is not one of a model
        too_long: whether a shorter prompt may be accepted
        start: how to start the server, if none listens at an address of this machine
    """

    def __init__(
        self,
        fault: ModelFault,
        message: str,
        hint: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.fault, self.retry_after_s = fault, retry_after_s
        self.refusal: Refusal | None = None
        self.malformed = self.too_long = False
        self.start = ""
        self.exit_code = 2 if fault is ModelFault.FINAL else 1


class Adapted(ModelError):
    """A refusal that taught how to ask: the request is repeated at once.

    Args:
        message: the change from now on
    """

    def __init__(self, message: str) -> None:
        super().__init__(ModelFault.TRY_AGAIN, message, retry_after_s=0.0)


def malformed(name: ModelName, text: str) -> ModelError:
    """Return an error for an answer that is not one of a model, and may be charged.

    Args:
        name: the model
        text: what is wrong with the answer

    Returns:
        The error, to be raised.
    """
    error = ModelError(ModelFault.UNKNOWN, plain_text(name, ValueError(text)))
    error.malformed = True
    return error


def turned_away(error: BaseException | None) -> bool:
    """Return whether a request was certainly not carried out.

    Args:
        error: the exception, with its causes; None gives False

    Returns:
        True if no connection was made or the server refused: nothing was charged. All
        other errors (a partial, missing or unreadable answer) may have been charged.
    """
    while error is not None:
        if type(error).__name__ in (*_NO_CONNECTION, "HTTPStatusError"):
            return True
        error = error.__cause__ or error.__context__
    return False


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the pause in the server's Retry-After header.

    Args:
        headers: of the response

    Returns:
        Seconds, at least 0; None without the header, and if it holds a date.
    """
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None  # no header, or a date: the usual back-off applies


def final_fault(name: ModelName, text: str, advice: str) -> ModelError:
    """Return an error after which no call will succeed.

    Args:
        name: the model
        text: the message
        advice: what to check, the first part of the hint

    Returns:
        The error, to be raised.
    """
    return ModelError(
        ModelFault.FINAL, text, f"{advice}; then: evolve doctor --model {name}"
    )


def endpoint_down(
    fault: ModelFault, text: str, retry_after: float | None = None
) -> ModelError:
    """Return an error of an endpoint that may recover.

    Args:
        fault: whether the call may have been charged
        text: the message
        retry_after: pause that the server asks for, in seconds

    Returns:
        The error, to be raised.
    """
    hint = (
        "is the endpoint up? then: evolve resume; at another address: evolve resume --model "
        "NAME@URL"
    )
    return ModelError(fault, text, hint, retry_after)


def plain_text(name: ModelName, error: Exception) -> str:
    """Return the message of an error on one line, without keys.

    Args:
        name: the model
        error: any exception

    Returns:
        The model's name and up to `SHOWN` characters.
    """
    return f"{name}: {shortened(str(getattr(error, 'message', error)))}"


def shortened(text: str) -> str:
    """Return a text on one line, without keys; a long one keeps its beginning and its end.

    Args:
        text: of a server

    Returns:
        Up to `SHOWN` characters.
    """
    line = " ".join(redact(text).split())
    if len(line) <= SHOWN:
        return line
    return f"{line[: SHOWN // 2]} ... {line[5 - SHOWN // 2 :]}"


def said_by(body: str) -> str:
    """Return the message in the body of an error, in any of the usual forms.

    Args:
        body: JSON or any other text

    Returns:
        The message; the whole text if it has another form.
    """
    try:
        found = json.loads(body.lstrip("\ufeff"))
    except (ValueError, RecursionError):
        return body
    if isinstance(found, list) and found:
        found = found[0]
    for key in ("error", "message", "detail", "error_message", "errors"):
        if isinstance(found, Mapping) and found.get(key):
            found = _message_in(found[key])
            break
    return found if isinstance(found, str) else body


def _message_in(found: Any) -> Any:
    """Return the text of an error: of OpenAI's form, of FastAPI's, or a provider's inside."""
    if isinstance(found, list):
        parts = [part for part in found if isinstance(part, Mapping)]
        return "; ".join(
            f"{'.'.join(map(str, part.get('loc', ())))}: {part.get('msg', part)}"
            for part in parts
        )
    if not isinstance(found, Mapping):
        return found
    metadata = found.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, Mapping) else None
    message = found.get("message") or found.get("error") or found.get("detail")
    # the message of a router has less in it than that of the provider
    return f"{message}: {said_by(str(raw))}" if raw else message


def redact(text: str) -> str:
    """Replace all secrets of the environment before a text is shown or stored.

    Args:
        text: any text

    Returns:
        The text with `***` for values of variables such as `*_KEY` or `*TOKEN*`.
    """
    for name, value in os.environ.items():
        if len(value) >= 6 and any(word in name.upper() for word in _SECRET_WORDS):
            text = text.replace(value, "***")
    return text
