"""How a model wants to be asked, learned from the requests that its server refuses.

Models differ in the parameters that they take. A refusal that names one is taken at its word:
the parameter is renamed or left out, for this model and from then on.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evolve.models.errors import Refusal, said_by, shortened
from evolve.models.sizes import Sizes
from evolve.text import Data

_LIMITS = ("max_tokens", "max_completion_tokens")
_FIXED = ("model", "messages", "input")  # parts of a request that are not parameters
_WORD = re.compile(r"[a-z_]+")
_NO_SYSTEM = ("system", "developer")
_MUST_STREAM = (
    "stream must",
    "stream=true",
    "stream: true",
    '"stream" to true',
    "only support stream",
    "only supports stream",
    "streaming only",
    "stream mode",
    "set stream",
    "streaming is required",
    "requires stream",
)
_STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@dataclass
class Manner:
    """The form of a request that a model accepts, as far as it is known.

    Attributes:
        dropped: parameters that are left out
        renamed: parameters that have another name
        folded: whether the system prompt goes into the first message of the user
        streams: whether the reply must be asked for as a stream
        sizes: what fits into a request
    """

    dropped: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    folded: bool = False
    streams: bool = False
    sizes: Sizes = field(default_factory=Sizes)

    def shape(self, request: Mapping[str, Any]) -> Data:
        """Return a request in the accepted form.

        Args:
            request: in the form of its provider

        Returns:
            A new body.
        """
        if "messages" not in request:
            return dict(request)
        wanted = {**request, **(_STREAM if self.streams else {})}
        shaped = {
            self.renamed.get(key, key): value
            for key, value in wanted.items()
            if key not in self.dropped and self.renamed.get(key) not in self.dropped
        }
        if self.folded:
            shaped["messages"] = _folded(shaped["messages"])
        return shaped

    def learn(self, refusal: Refusal) -> str | None:
        """Learn from a refusal.

        Args:
            refusal: the request, and the server's message

        Returns:
            The change from now on, in words; None if the refusal teaches
            nothing, so that the same request would be refused again.
        """
        said = said_by(refusal.text).lower()
        if refusal.about_size:
            return self._fit(refusal)
        for lesson in (self._about_roles, self._about_streams, self._about_parameters):
            learned = lesson(said, refusal)
            if learned is not None:
                return learned
        return None

    def _fit(self, refusal: Refusal) -> str | None:
        """Learn the context; None if no shorter reply makes room for the prompt."""
        if not self.sizes.learn(refusal.text, dict(refusal.sent)):
            return None
        return (
            f"its context is {self.sizes.window:,} tokens: the reply is limited to fit"
        )

    def _about_roles(self, said: str, refusal: Refusal) -> str | None:
        roles = {message.get("role") for message in refusal.sent.get("messages") or ()}
        about = "role" in said or "instruction" in said or "not support" in said
        refused = about and any(word in said for word in _NO_SYSTEM)
        if "system" not in roles or not (refused or "must alternate" in said):
            return None
        self.folded = True
        return "it takes no system prompt: this goes into the user's message"

    def _about_streams(self, said: str, refusal: Refusal) -> str | None:
        if refusal.sent.get("stream") or not any(word in said for word in _MUST_STREAM):
            return None
        self.streams = True
        return "it answers in streams only: they are asked for"

    def _about_parameters(self, said: str, refusal: Refusal) -> str | None:
        name = _named(said, refusal)
        if name is None:
            return None
        why = shortened(said_by(refusal.text))[:160]
        if name in _LIMITS:
            return self._about_limit(name, said, refusal, why)
        self.dropped.add(name)
        return f"{name} is left out ({why})"

    def _about_limit(self, name: str, said: str, refusal: Refusal, why: str) -> str:
        """Learn another name of the limit of a reply, or the greatest one."""
        sent = int(refusal.sent.get(name) or 0)
        other = _LIMITS[1 - _LIMITS.index(name)]
        if other not in said and self.sizes.learn_reply(said, sent):
            most = self.sizes.most_reply
            return f"its replies have at most {most:,} tokens, below reply_tokens = {sent:,}"
        if name in self.renamed.values() or name in self.dropped:
            self.dropped |= {*_LIMITS}
            return f"it takes no limit of the reply ({why})"
        self.renamed = {name: other}
        return f"{name} is sent as {other} ({why})"

    def as_data(self) -> Data:
        """Return it as JSON data, for the record of the run."""
        return {
            "dropped": sorted(self.dropped),
            "renamed": self.renamed,
            "folded": self.folded,
            "streams": self.streams,
            "window": self.sizes.window,
            "most_reply": self.sizes.most_reply,
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take over the knowledge from before a restart.

        Args:
            data: as `as_data` returned it
        """
        self.dropped = set(data["dropped"])
        self.renamed = dict(data["renamed"])
        self.folded, self.streams = bool(data["folded"]), bool(data["streams"])
        self.sizes.window = data["window"]
        self.sizes.most_reply = data["most_reply"]


def _named(said: str, refusal: Refusal) -> str | None:
    """Return the parameter of a request that a refusal names."""
    names = [key for key in refusal.sent if key not in _FIXED]
    for candidate in (*_pointed_at(refusal.text), *_by_place(said, names)):
        if candidate in names:
            return candidate
    return None


def _pointed_at(text: str) -> Iterable[str]:
    """Yield the names in the fields for them: OpenAI's `param`, FastAPI's `loc`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return
    inner = found.get("error") if isinstance(found, Mapping) else None
    for table in (inner, found):
        if isinstance(table, Mapping):
            yield str(table.get("param")).partition("[")[0].rpartition(".")[2]
    details = found.get("detail") if isinstance(found, Mapping) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and detail.get("loc"):
            yield str(detail["loc"][-1])


def _by_place(said: str, names: Collection[str]) -> list[str]:
    """Return the names that a message contains, the first first."""
    places = {found[0]: found.start() for found in reversed(list(_WORD.finditer(said)))}
    # `n` is also a letter of other words
    known = {
        name: place for name, place in places.items() if name in names and len(name) > 1
    }
    for name in names:
        quoted = [said.find(f"{mark}{name}{mark}") for mark in "'\"`"]
        if max(quoted) >= 0:
            known.setdefault(name, max(quoted))
    if "n" in names and ("n must" in said or "n = 1" in said or "n=1" in said):
        known.setdefault("n", len(said))
    return sorted(known, key=lambda name: known[name])


def _folded(messages: Iterable[Data]) -> list[Data]:
    """Return a chat without a system message: its text precedes the user's first."""
    given = list(messages)
    system = "\n\n".join(m["content"] for m in given if m["role"] == "system")
    rest = [dict(message) for message in given if message["role"] != "system"]
    if system and rest:
        rest[0]["content"] = f"{system}\n\n{rest[0]['content']}"
    return rest or given
