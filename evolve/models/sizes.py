"""How much a model takes: its context and its longest reply, as far as they are known.

A server tells them in its list of models, or when it refuses a request. Prompts and replies
are then fitted into them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from evolve.models.counting import BYTES_PER_TOKEN
from evolve.text import Data

# keys of a model in a server's list: vLLM, LM Studio, OpenRouter, Groq, llama.cpp
_KEYS = (
    "max_model_len",
    "loaded_context_length",
    "context_length",
    "context_window",
    "max_context_length",
    "n_ctx",
)
LEAST_REPLY = 256  # tokens; with less room a prompt is too long
_MARGIN, _PER_MESSAGE = 16, 16  # tokens
_LEAST_WINDOW, _MOST_GUESSES = 32, 2
_TELLING_BYTES = 400  # a shorter prompt is mostly its template
_WINDOW = re.compile(
    r"(?:context(?: |_)(?:length|size|window|limit)|\bn_ctx\b|prompt length|model_len|"
    r"tokens allowed|\blimit\b)[^0-9]{0,40}([0-9][0-9,]{1,11})"
    r"|\b([0-9][0-9,]{1,11}) maximum"
)
_OVER = re.compile(r"(?:>|<=) ?([0-9][0-9,]{1,11})")
_PROMPT = (
    re.compile(
        r"\b([0-9][0-9,]{0,11}) (?:in the messages|in your prompt|input tokens|prompt tokens|"
        r"`inputs` tokens|tokens > )"
    ),
    re.compile(
        r"(?:context limit:|resulted in|contains|prompt_tokens\"?:|request \(|requested|keep the first|"
        r"current length is|token count \() ?([0-9][0-9,]{0,11})"
    ),
)
_NUMBER = re.compile(r"\b[0-9][0-9,]{0,11}\b")


@dataclass
class Sizes:
    """What fits into one request to a model.

    Attributes:
        window: tokens of prompt and reply together; None: unknown
        most_reply: longest reply, in tokens; None: unknown
        per_byte: tokens of a prompt per byte; an upper estimate until usage is reported
        measured: whether usage has been reported
    """

    window: int | None = None
    most_reply: int | None = None
    per_byte: float = 1 / BYTES_PER_TOKEN
    measured: bool = False
    _guesses: int = 0

    def measure(self, messages: Iterable[Mapping[str, Any]], tokens: int) -> None:
        """Learn how many tokens a text has from the usage that a server reports.

        Args:
            messages: the chat
            tokens: of the prompt
        """
        size = _bytes_of(messages)
        if size < _TELLING_BYTES or tokens <= 0:
            return
        found = min(1.0, 1.1 * tokens / size)
        self.per_byte = max(self.per_byte, found) if self.measured else found
        self.measured = True

    def reply_limit(self, messages: Iterable[Mapping[str, Any]], wanted: int) -> int:
        """Return the limit of a reply that fits with a prompt.

        Args:
            messages: the chat
            wanted: limit of the settings

        Returns:
            At most `wanted`; with too little room as much as a reply needs.
        """
        limit = min(wanted, self.most_reply or wanted)
        if self.window is None:
            return limit
        room = self.window - self.estimate(messages) - _MARGIN
        return max(min(limit, room), _least(limit))

    def too_long(self, messages: Iterable[Mapping[str, Any]]) -> bool:
        """Return whether a prompt is known not to fit.

        Args:
            messages: the chat

        Returns:
            False as long as the context or the length of texts in tokens is not known.
        """
        known = self.window is not None and self.measured
        return known and self.estimate(messages) > (self.window or 0)

    def prompt_room(self, wanted_reply: int) -> int | None:
        """Return the longest prompt that leaves room for a reply.

        Args:
            wanted_reply: limit of a reply

        Returns:
            Tokens; None if the context is not known.
        """
        if self.window is None:
            return None
        reply = min(wanted_reply, self.most_reply or wanted_reply, self.window // 2)
        return max(1, self.window - reply - _MARGIN - 2 * _PER_MESSAGE)

    def estimate(self, messages: Iterable[Mapping[str, Any]]) -> int:
        """Return the number of tokens of a chat, rather too high than too low.

        Args:
            messages: the chat

        Returns:
            Tokens.
        """
        chat = list(messages)
        return int(self.per_byte * _bytes_of(chat)) + _PER_MESSAGE * len(chat)

    def learn(self, text: str, sent: Data) -> bool:
        """Learn the context from the refusal of a request that was too long.

        Args:
            text: the server's message
            sent: body of the request

        Returns:
            Whether a shorter reply can make the same prompt fit.
        """
        messages = sent.get("messages") or ()
        before = int(sent.get("max_tokens") or sent.get("max_completion_tokens") or 0)
        named = _window_in(text)
        if named is None:
            self._guesses += 1
            named = 3 * (self.estimate(messages) + before) // 4
        self.window = max(_LEAST_WINDOW, named)
        tokens = _prompt_in(text)
        if tokens is not None and tokens != self.window:
            self._measure_by(tokens, messages, before)
        elif self.measured and self.estimate(messages) + before <= self.window:
            self.per_byte = min(1.0, 1.5 * self.per_byte)  # the estimate was too low
        room = self.window - self.estimate(messages) - _MARGIN
        return _least(before) <= room < before and self._guesses <= _MOST_GUESSES

    def _measure_by(
        self, tokens: int, messages: Iterable[Mapping[str, Any]], reply: int
    ) -> None:
        """Learn from a number that counts the prompt, or the prompt with its reply."""
        expected = self.estimate(messages)
        meanings = (tokens, tokens - reply)
        self.measure(messages, min(meanings, key=lambda n: abs(n - expected)))

    def learn_reply(self, text: str, sent: int) -> bool:
        """Learn the longest reply from a refusal that names a limit.

        Args:
            text: the server's message
            sent: limit that was sent

        Returns:
            Whether a smaller limit was found.
        """
        numbers = [int(found.replace(",", "")) for found in _NUMBER.findall(text)]
        smaller = [number for number in numbers if _MARGIN <= number < sent]
        if not smaller:
            return False
        self.most_reply = max(smaller)
        return True


def _least(wanted: int) -> int:
    """Return the shortest limit that is worth asking with."""
    return min(LEAST_REPLY, wanted // 2)


def window_of(row: Mapping[str, Any]) -> int | None:
    """Return the context of a model in a server's list.

    Args:
        row: the model's entry

    Returns:
        Tokens; None if the entry does not hold it.
    """
    inner = row.get("meta")
    for table in (row, inner if isinstance(inner, Mapping) else {}):
        for key in _KEYS:
            value = table.get(key)
            if isinstance(value, int) and value >= _LEAST_WINDOW:
                return value
    return None


def _window_in(text: str) -> int | None:
    for pattern in (_OVER, _WINDOW):
        for found in pattern.finditer(text.lower()):
            number = int(next(part for part in found.groups() if part).replace(",", ""))
            if number >= _LEAST_WINDOW:
                return number
    return None


def _prompt_in(text: str) -> int | None:
    for pattern in _PROMPT:
        found = pattern.search(text.lower())
        if found is not None:
            return int(found[1].replace(",", ""))
    return None


def _bytes_of(messages: Iterable[Mapping[str, Any]]) -> int:
    return sum(
        len(str(message.get("content") or "").encode(errors="replace"))
        for message in messages
    )
