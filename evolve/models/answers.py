"""Answers to a chat as servers really write them, read into one form.

OpenAI's protocol is spoken in many ways: text in parts, thoughts in several places, streams
that nobody asked for, no usage, no reason for the end, errors with status 200.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from evolve.archive import Reply
from evolve.models.counting import Counter
from evolve.models.errors import ModelError, malformed, said_by
from evolve.models.names import ModelName
from evolve.text import Data

_LENGTH = (
    "length",
    "max_tokens",
    "max_output_tokens",
    "model_length",
    "max_length",
    "token_limit",
    "incomplete",
)
_DECLINED = (
    "content_filter",
    "safety",
    "recitation",
    "prohibited_content",
    "blocklist",
    "refusal",
    "sensitive",
)
_TAGS = ("think", "thinking", "thought", "thoughts", "reasoning")
# of a limit: a reply that is longer and has no reason was probably cut
_NEARLY = 0.95
_CODE, _PATH = (
    ("content", "code", "program", "text", "new_content", "input"),
    (
        "path",
        "file",
        "filename",
        "file_path",
        "filepath",
    ),
)


class Usage(NamedTuple):
    """Tokens of a request with all its replies.

    Attributes:
        prompt: tokens of the prompt
        completion: tokens of all replies, thoughts included
        cached: tokens of the prompt that the server had cached
        reasoning: tokens of thoughts, as far as the server reports them
        estimated: whether a number was counted here, not by the server
    """

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0
    estimated: bool = False


@dataclass(frozen=True)
class Completion:
    """Replies to one request, with their total usage.

    Attributes:
        samples: at least one reply
        prompt_tokens: tokens of the prompt
        completion_tokens: tokens of all replies together
        cached_tokens: tokens of the prompt that the server had cached
        estimated: whether the server has reported no usage, so that it was counted here
        thought_tokens: tokens that were used up without an answer; 0 if there is one
        remarks: for each reply what is odd about it, such as a refusal; may be empty
    """

    samples: tuple[Reply, ...]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    estimated: bool = False
    thought_tokens: int = 0
    remarks: tuple[str, ...] = ()


class _Message(NamedTuple):
    """One reply of an answer.

    Attributes:
        text: the answer itself
        thoughts: text that the server separates from it
        reason: for its end, in the words of OpenAI; None if there is none
        declined: the model's words, if it refused
    """

    text: str
    thoughts: str
    reason: str | None
    declined: str = ""


def read_completion(
    name: ModelName, answer: Data, sent: Data, count: Counter
) -> Completion:
    """Read an answer to a chat.

    Args:
        name: the model
        answer: as the server sent it, parsed
        sent: body of the request, with messages and limit
        count: counts tokens where the server reports none

    Returns:
        Replies and usage.

    Raises:
        ModelError: it holds no reply
    """
    messages = [_message(choice) for choice in _choices(name, answer)]
    limit = sent.get("max_tokens") or sent.get("max_completion_tokens") or 0
    usage = _usage(answer, messages, sent, count)
    each = usage.completion / len(messages)
    samples = tuple(
        Reply(one.text, one.reason or _judged(one, each, limit)) for one in messages
    )
    silent = not any(_answers(one) for one in messages)
    thinks = usage.reasoning > 0 or any(one.thoughts or one.text for one in messages)
    cut = any(sample.finish_reason == "length" for sample in samples)
    spent = usage.reasoning or usage.completion
    return Completion(
        samples,
        usage.prompt,
        usage.completion,
        usage.cached,
        usage.estimated,
        spent if silent and (thinks or cut) else 0,
        tuple(_remark(one, usage) for one in messages),
    )


def _remark(message: _Message, usage: Usage) -> str:
    """Return the oddities of a reply, for its row; empty if nothing is."""
    odd = [f"the model declined: {message.declined}"] if message.declined else []
    if usage.estimated:
        odd.append("tokens estimated: the server reports no usage")
    if message.thoughts and not message.text.strip():
        odd.append("only reasoning, no answer")
    return "; ".join(odd)


def provider_error(answer: Data) -> tuple[int, str] | None:
    """Return the error inside an answer with status 200.

    Args:
        answer: as the server sent it, parsed

    Returns:
        A status and the message; None if it holds no error.
    """
    if answer.get("choices"):
        answer = {"error": _error_of_choice(answer["choices"][0])}
    named = any(answer.get(key) for key in ("error", "detail", "errors"))
    if not named and answer.get("object") != "error":
        return None
    inner = answer.get("error")
    holder = inner if isinstance(inner, Mapping) else answer
    code = str(holder.get("code") or holder.get("status") or "")
    status = int(code) if code.isdecimal() and 400 <= int(code) < 600 else 502
    return status, said_by(json.dumps(answer))


def _error_of_choice(choice: Any) -> Any:
    """Return the error of a provider that failed after its answer had begun."""
    if not isinstance(choice, Mapping):
        return None
    silent = choice.get("finish_reason") == "error" and not _message(choice).text
    return choice.get("error") or ("the provider failed" if silent else None)


def read_events(text: str) -> Data:
    """Assemble the answer of a stream of events.

    Args:
        text: lines `data: JSON`, with any line ends

    Returns:
        The same in the form of an answer without a stream.

    Raises:
        ValueError: an event is not JSON
    """
    answer: Data = {}
    parts: dict[int, Data] = {}
    for event in _events(text):
        answer |= {
            key: value
            for key, value in event.items()
            if key != "choices" and value is not None
        }
        for choice in event.get("choices") or ():
            _add(parts.setdefault(int(choice.get("index") or 0), {}), choice)
    choices = [
        {"message": part.pop("message", {}), **part}
        for _, part in sorted(parts.items())
    ]
    return answer | ({"choices": choices} if choices else {})


def is_stream(text: str, kind: str) -> bool:
    """Return whether a body is a stream of events.

    Args:
        text: the body
        kind: its content type

    Returns:
        True also for a stream with another type.
    """
    start = text.lstrip("\ufeff \r\n")
    return start.startswith(("data:", "event:", ": ")) or (
        "event-stream" in kind and not start.startswith("{")
    )


def _events(text: str) -> Iterator[Data]:
    for line in text.lstrip("\ufeff").splitlines():
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data and data != "[DONE]":
            event = json.loads(data)
            if isinstance(event, dict):
                yield event


def _add(part: Data, choice: Data) -> None:
    """Add one event of a choice: texts are appended, the last reason counts."""
    message = part.setdefault("message", {})
    delta = choice.get("delta") or choice.get("message") or {}
    if isinstance(choice.get("text"), str):
        delta = {"content": choice["text"]} | delta
    for key, value in delta.items():
        if key == "tool_calls":
            _add_calls(message.setdefault(key, []), value or ())
        elif isinstance(value, (str, list)) and isinstance(
            message.get(key), type(value)
        ):
            message[key] += value if key != "role" else ""
        elif value is not None:
            message[key] = value
    for key in ("finish_reason", "error"):
        if choice.get(key) is not None:
            part[key] = choice[key]


def _add_calls(calls: list[Data], more: Sequence[Data]) -> None:
    """Append the pieces of tool calls, which come by index."""
    for piece in more:
        place = int(piece.get("index") or 0)
        while len(calls) <= place:
            calls.append({"function": {"name": "", "arguments": ""}})
        for key, value in (piece.get("function") or {}).items():
            if isinstance(value, str):
                calls[place]["function"][key] += value


def _choices(name: ModelName, answer: Data) -> list[Data]:
    """Return the replies of an answer, in the form of OpenAI's.

    Raises:
        ModelError: there are none
    """
    choices = answer.get("choices")
    # Ollama's own routes answer with a single message
    if not choices and isinstance(answer.get("message"), dict):
        choices = [answer | {"finish_reason": answer.get("done_reason")}]
    if not choices or any(not _holds_one(choice) for choice in choices):
        raise _without_choices(name, answer)
    return list(choices)


def _holds_one(choice: Any) -> bool:
    return isinstance(choice, Mapping) and any(
        isinstance(choice.get(key), kind)
        for key, kind in (("message", Mapping), ("delta", Mapping), ("text", str))
    )


def _without_choices(name: ModelName, answer: Data) -> ModelError:
    start = json.dumps(answer)[:200]
    return malformed(name, f"it answered without choices: {start}")


def _message(choice: Mapping[str, Any]) -> _Message:
    message = choice.get("message") or choice.get("delta") or {}
    given = message.get("content")
    text = _text(given if given is not None else choice.get("text"))
    thoughts = "".join(
        _text(message.get(key)) for key in ("reasoning_content", "reasoning")
    )
    declined = _text(message.get("refusal")) or _refusals(given)
    if not text.strip():
        text = _calls(message) or text
    reason = choice.get("finish_reason")
    word = str(reason).lower() if reason else None
    if declined and not text.strip():
        word = "content_filter"
    elif word in _LENGTH:
        word = "length"
    elif word in _DECLINED:
        word = "content_filter"
    return _Message(text, thoughts, word, declined)


def _text(content: Any) -> str:
    """Return the text of a message, which may come in parts; thoughts are left out."""
    if isinstance(content, str):
        return content.lstrip("\ufeff")
    if isinstance(content, Mapping):
        if "thinking" in str(content.get("type")) or content.get("thought"):
            return ""
        return _text(content.get("text") or content.get("parts"))
    if isinstance(content, list):
        return "".join(
            _text(part)
            for part in content
            if isinstance(part, str)
            or (
                isinstance(part, Mapping)
                and part.get("type", "text") in ("text", "output_text")
            )
        )
    return ""


def _refusals(content: Any) -> str:
    parts = content if isinstance(content, list) else []
    return "".join(
        str(part["refusal"])
        for part in parts
        if isinstance(part, Mapping) and isinstance(part.get("refusal"), str)
    )


def _calls(message: Mapping[str, Any]) -> str:
    """Return the tool calls of a reply as text: some models answer so unasked."""
    calls = list(message.get("tool_calls") or ())
    if message.get("function_call"):
        calls.append({"function": message["function_call"]})
    return "\n\n".join(
        _call(call.get("function") or {}) for call in calls if isinstance(call, Mapping)
    )


def _call(function: Mapping[str, Any]) -> str:
    """Return one call: a file that it writes as a fenced block, else its arguments."""
    given = function.get("arguments") or ""
    try:
        arguments = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        return str(given)
    if not isinstance(arguments, Mapping):
        return str(given)
    path = next((arguments[key] for key in _PATH if arguments.get(key)), "")
    body = next(
        (arguments[k] for k in _CODE if isinstance(arguments.get(k), str)), None
    )
    if body is None:
        return f"{function.get('name', '')}({json.dumps(arguments)})"
    end = "" if body.endswith("\n") else "\n"
    return f"{path}\n```\n{body}{end}```"


def _answers(message: _Message) -> bool:
    """Return whether there is text after the thoughts."""
    text = message.text.strip()
    lower = text.lower()
    ends = [lower.rfind(f"</{tag}>") for tag in _TAGS]
    if max(ends) >= 0:
        return bool(text[max(ends) :].partition(">")[2].strip())
    return bool(text) and not lower.startswith(tuple(f"<{tag}>" for tag in _TAGS))


def _judged(message: _Message, tokens: float, limit: int) -> str:
    """Return why a reply ended, by its text, if the server does not report it."""
    open_fence = message.text.count("```") % 2 == 1
    full = limit > 0 and tokens >= _NEARLY * limit
    return "length" if full or open_fence else "stop"


def _usage(
    answer: Data, messages: Sequence[_Message], sent: Data, count: Counter
) -> Usage:
    """Return the usage that the server reports; what it leaves out is counted."""
    found = answer.get("usage")
    given: Mapping[str, Any] = found if isinstance(found, Mapping) else answer
    prompt = _number(given, "prompt_tokens", "input_tokens", "prompt_eval_count")
    used = _number(given, "completion_tokens", "output_tokens", "eval_count")
    written = "".join(one.text + one.thoughts + one.declined for one in messages)
    if prompt > 0 and (used > 0 or not written):
        cached = _inner(given, "prompt_tokens_details", "cached_tokens")
        thought = _inner(given, "completion_tokens_details", "reasoning_tokens")
        known = max(0, min(cached, prompt)), max(0, min(thought, used))
        return Usage(prompt, max(used, 0), *known)
    asked = "".join(str(m.get("content") or "") for m in sent.get("messages") or ())
    limit = sent.get("max_tokens") or sent.get("max_completion_tokens") or 0
    cut = sum(one.reason == "length" for one in messages)
    return Usage(
        prompt if prompt > 0 else count(asked),
        used if used > 0 else max(count(written), cut * limit),
        estimated=True,
    )


def _number(given: Mapping[str, Any], *names: str) -> int:
    """Return the first number under one of these names; 0 if there is none."""
    for name in names:
        value = given.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return int(value)
    return 0


def _inner(given: Mapping[str, Any], table: str, name: str) -> int:
    details = given.get(table)
    return _number(details, name) if isinstance(details, Mapping) else 0
