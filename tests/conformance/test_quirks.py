"""Every quirk of a server has its right outcome, whichever way the server is asked."""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import NamedTuple

import pytest

from evolve.archive import (
    Archive,
    Call,
    CallPurpose,
    CallState,
    CodeStore,
    Proposal,
    Reply,
    State,
    derive_id,
)
from evolve.config import Settings
from evolve.engine.recorder import Recorder
from evolve.models import BudgetedModels, ModelError, ModelFault
from evolve.models.extra import load_litellm
from tests.conformance.quirks import (
    CONTEXT,
    MOST_REPLY,
    PROGRAM,
    QUIRKS,
    TEXT,
    Odd,
    odd_server,
)
from tests.conformance.quirks import MESSAGES as MESSAGES_OF

ROUTES = ("hosted_vllm", "openai", "litellm_proxy")
MESSAGES = [
    {"role": "system", "content": "You improve programs."},
    {"role": "user", "content": f"Improve this.\n```python\n{PROGRAM}```\n" * 10},
]
ASKED, REPLY_TOKENS = 3, 400


class Right(NamedTuple):
    """The right outcome of a quirk.

    Attributes:
        text: in the reply; None if there is none, and the run ends
        said: words in a line for people
        error: words in the error that ends the run
        refused: how many requests teach how to ask, and cost nothing
        finish: reason of the reply's end
        estimated: whether the tokens are counted here
        ends_after: how many requests are sent before the run ends
    """

    text: str | None = "return 2"
    said: str = ""
    error: str = ""
    refused: int = 0
    finish: str = "stop"
    estimated: bool = False
    ends_after: int = 1


def hopeless(error: str, after: int = 1, said: str = "") -> Right:
    return Right(None, said, error, ends_after=after)


FITTED = f"its context is {CONTEXT} tokens"
REASONING = "tokens on reasoning and gave no answer"
RIGHT: dict[str, Right] = {
    **dict.fromkeys(
        (
            "plain",
            "parts",
            "parts_with_thoughts",
            "reasoning_content",
            "reasoning",
            "think_closed",
            "think_end_only",
            "bom",
            "crlf",
            "blanks_before",
            "wrong_type",
            "no_finish",
            "stream_unasked",
            "text_choice",
        ),
        Right(),
    ),
    **dict.fromkeys(
        ("no_usage", "null_usage", "zero_usage", "half_usage"),
        Right(said="it reports no usage", estimated=True),
    ),
    "other_finish": Right(finish="eos"),
    "tool_call": Right(finish="tool_calls"),
    "stream_only": Right(said="streams only", refused=1),
    "stream_only_bare": Right(
        said="stream_options is left out", refused=2, estimated=True
    ),
    "no_temperature": Right(said="temperature is left out", refused=1),
    "no_max_tokens": Right(said="sent as max_completion_tokens", refused=1),
    "no_seed": Right(said="seed is left out", refused=1),
    "no_parameters": Right(said="temperature is left out", refused=4),
    "no_system": Right(said="it takes no system prompt", refused=1),
    "alternating": Right(said="it takes no system prompt", refused=1),
    "short_replies": Right(said=f"at most {MOST_REPLY} tokens", refused=1),
    "context_of_vllm": Right(said=FITTED, refused=1),
    "context_of_new_vllm": Right(said=FITTED, refused=1),
    "context_of_anthropic": Right(said=FITTED, refused=1),
    "context_untold": Right(said="its context is", refused=1),
    "error_first": Right(said="Provider returned error", refused=1),
    "choice_fails_first": Right(said="Provider disconnected", refused=1),
    "cut_off_once": Right(said="not JSON"),
    "refusal": Right("", finish="content_filter"),
    "empty": Right(""),
    "cut_at_the_limit": Right("I return", finish="length"),
    "cut_without_reason": Right("I return", finish="length"),
    "page": hopeless("<title>Sign in</title>"),
    "login": hopeless("<title>Sign in</title>"),
    "says_ok": hopeless("'OK'"),
    "cut_off": hopeless("not JSON", 3),
    "no_choices": hopeless("without choices", 3),
    "only_reasoning": hopeless(REASONING, 3, "raise reply_tokens (now 400)"),
    "hidden_reasoning": hopeless(REASONING, 3, "lower reasoning_effort"),
    "think_unclosed": hopeless(REASONING, 3, "raise reply_tokens (now 400)"),
    "wrong_key": hopeless("Incorrect API key"),
    "wrong_key_inside": hopeless("User not found"),
    "no_credit": hopeless("Insufficient credits"),
    "no_quota": hopeless("exceeded your current quota"),
    "unknown": hopeless("does not exist"),
    "small_context": hopeless("prompt_tokens (now 16000) or reply_tokens (now 400)", 3),
}


OF_MESSAGES: dict[str, Right] = {
    "says_it": Right(),
    "thinks_first": Right(),
    "chooses_its_temperature": Right(said="temperature is left out", refused=1),
    "has_short_replies": Right(said=f"at most {MOST_REPLY} tokens", refused=1),
    "has_a_small_context": Right(said=FITTED, refused=1),
    "fails_inside_first": Right(said="Provider boom", refused=1),
    "has_no_content": hopeless("'content'", 3),
    "is_cut_off": hopeless("Expecting value", 3),
    "is_a_page": hopeless("<title>Sign in</title>"),
    "knows_no_such_key": hopeless("invalid x-api-key"),
}


class Seen(NamedTuple):
    """What came of some questions to one model."""

    ended: list[Reply | BaseException]
    calls: list[Call]
    lines: list[str]
    seconds: float


@functools.cache
def empty_run() -> Path:
    """An empty archive and an empty repository, to copy: making them takes longer."""
    folder = Path(tempfile.mkdtemp(prefix="evolve-test-"))
    atexit.register(shutil.rmtree, folder)
    Archive.create(folder / "archive.db", {"seed": "0"}).close()
    CodeStore.create(folder / "code.git")
    return folder


def ask(folder: Path, model: str, count: int = ASKED) -> Seen:
    """Ask for several proposals at the same time, as a run does."""

    async def work() -> Seen:
        began, lines = time.monotonic(), list[str]()
        given = Settings(
            model=(model,),
            reply_tokens=REPLY_TOKENS,
            price={model: (1.0, 2.0)},
            patience_s=20.0,
        )
        shutil.copytree(empty_run(), folder, dirs_exist_ok=True)
        recorder = Recorder(
            Archive.open_to_write(folder / "archive.db"),
            CodeStore.open_to_write(folder / "code.git"),
            maximize=True,
        )
        try:
            async with aclosing(
                BudgetedModels(given, recorder, lines.append)
            ) as models:
                await models.meet()
                asked = []
                for number in range(count):
                    one = Proposal(
                        derive_id(0, number), number, State.PLANNED, "diff", (), 0, 0.0
                    )
                    await recorder.plan(one)
                    asked.append(models.ask(one, CallPurpose.PROPOSE, MESSAGES))
                ended = await asyncio.gather(*asked, return_exceptions=True)
            seconds = time.monotonic() - began
            return Seen(list(ended), recorder.archive.calls(), lines, seconds)
        finally:
            await recorder.close()

    return asyncio.run(work())


@pytest.fixture(scope="module")
def odd() -> Iterator[Odd]:
    with odd_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-0123456789")
    monkeypatch.setenv("LITELLM_PROXY_API_KEY", "sk-planted-0123456789")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-planted-0123456789")
    # as loading litellm does, for good
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    load_litellm("the test")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", os.environ.get("TIKTOKEN_CACHE_DIR", ""))


def test_every_quirk_has_a_right_outcome() -> None:
    assert QUIRKS.keys() == RIGHT.keys() and len(QUIRKS) >= 25
    assert MESSAGES_OF.keys() == OF_MESSAGES.keys()


# pydantic's, about litellm's own types
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", QUIRKS)
@pytest.mark.parametrize(
    "route",
    [ROUTES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in ROUTES[1:])],
)
def test_a_quirk_has_its_right_outcome(
    tmp_path: Path, odd: Odd, route: str, name: str
) -> None:
    own = f"{name}-{route}"
    seen = ask(tmp_path, odd.at(f"{route}/{own}"))
    assert_right(RIGHT[name], seen, len(odd.asked[own]))
    thoughts = [
        r for r in seen.ended if isinstance(r, Reply) and "Let me see" in r.text
    ]
    assert not thoughts or name.startswith("think")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", MESSAGES_OF)
def test_a_quirk_has_its_right_outcome_through_litellm(
    tmp_path: Path, odd: Odd, name: str
) -> None:
    seen = ask(tmp_path, f"anthropic/{name}@http://127.0.0.1:{odd.port}")
    assert_right(OF_MESSAGES[name], seen, len(odd.asked[name]))
    assert "Traceback" not in "".join([*seen.lines, *map(str, seen.ended)])


def assert_right(right: Right, seen: Seen, sent: int) -> None:
    """Fail unless questions had their right outcome."""
    assert sent == len(seen.calls), "every request has its row"
    said = "\n".join(seen.lines)
    assert right.said in said, said
    once = [line for line in seen.lines if "trying again" not in line]
    assert len(once) == len(set(once))
    if right.text is None:
        final = {
            str(found)
            for found in seen.ended
            if isinstance(found, ModelError) and found.fault is ModelFault.FINAL
        }
        assert len(final) == 1 and right.error in final.pop(), seen.ended
        assert len(seen.calls) == right.ends_after and seen.seconds < 10
        return
    assert all(isinstance(found, Reply) for found in seen.ended), seen.ended
    for reply in (found for found in seen.ended if isinstance(found, Reply)):
        assert right.text in reply.text and reply.finish_reason == right.finish
    replied = [call for call in seen.calls if call.state is CallState.REPLIED]
    free = [call for call in seen.calls if call.state is CallState.FAILED]
    assert (len(replied), len(free)) == (ASKED, right.refused)
    assert all(call.cost_usd == call.prompt_tokens == 0 for call in free)
    assert all(0 < call.cost_usd <= call.reserved_usd for call in replied)
    marked = ["tokens estimated" in (call.error or "") for call in replied]
    assert set(marked) == {right.estimated}


def test_an_empty_answer_costs_what_its_usage_says(tmp_path: Path, odd: Odd) -> None:
    calls = ask(tmp_path, odd.at("hosted_vllm/empty-usage")).calls
    assert {(c.prompt_tokens, c.completion_tokens) for c in calls} == {(50, 3)}
    assert [c.cost_usd for c in calls] == pytest.approx([50e-6 + 6e-6] * ASKED)


def test_tokens_without_usage_are_counted_by_their_characters(
    tmp_path: Path, odd: Odd
) -> None:
    call = ask(tmp_path, odd.at("hosted_vllm/no_usage-count"), 1).calls[0]
    written = "".join(message["content"] for message in MESSAGES)
    assert call.prompt_tokens == -(-len(written) // 4)
    assert call.completion_tokens == -(-len(TEXT) // 4)
