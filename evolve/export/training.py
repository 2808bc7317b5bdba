"""Training data for models that change programs: prompts with replies and gains."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, TextIO

from evolve.archive import PERSON, CallPurpose, CallState, Variant
from evolve.errors import UsageError
from evolve.runs.reader import OpenRun
from evolve.text import json_line

FORMS = ("sft", "dpo")


class Answered(NamedTuple):
    """A reply that was used, with its prompt and gain.

    Attributes:
        variant: the proposal
        messages: the prompt
        reply: text of the reply
        gain: improvement over the parents; None if the child failed or was rejected
    """

    variant: Variant
    messages: list[dict[str, str]]
    reply: str
    gain: float | None


def check_form(form: str) -> None:
    """Check the name of a form.

    Args:
        form: "sft" or "dpo"

    Raises:
        UsageError: another name
    """
    if form not in FORMS:
        raise UsageError(f"invalid form {form!r}", "use sft or dpo")


def write_training(run: OpenRun, form: str, file: TextIO) -> int:
    """Write examples as JSON lines of chat messages.

    sft: every reply that made a child better than its parents. dpo (Rafailov et al.
    2023, arXiv 2305.18290): of two replies to prompts with the same parent, the better
    as chosen and the worse as rejected.

    Args:
        run: the open run
        form: a name that `check_form` accepts
        file: open for writing text

    Returns:
        Number of examples.
    """
    found = _sft(run) if form == "sft" else _dpo(run)
    count = 0
    for row in found:
        count += 1
        file.write(json_line(row) + "\n")
    return count


def _sft(run: OpenRun) -> Iterator[dict[str, Any]]:
    for one in answered(run):
        if one.gain is not None and one.gain > 0:
            yield {
                "messages": [
                    *one.messages,
                    {"role": "assistant", "content": one.reply},
                ],
                "gain": one.gain,
                "score": one.variant.score,
                "id": one.variant.id,
                "parent": one.variant.parent,
                "operator": one.variant.operator,
                "model": one.variant.model,
            }


def _dpo(run: OpenRun) -> Iterator[dict[str, Any]]:
    """Yield each better child, paired with the worst sibling by the same operator.

    A failed sibling counts as the worst.
    """
    families: dict[tuple[str | None, str], list[Answered]] = {}
    for one in answered(run):
        families.setdefault((one.variant.parent, one.variant.operator), []).append(one)
    for members in families.values():
        worst = min(members, key=lambda one: (one.gain is not None, one.gain or 0.0))
        for one in members:
            better = one.gain is not None and one.gain > 0 and one is not worst
            if better and (worst.gain is None or (one.gain or 0.0) > worst.gain):
                yield {
                    "prompt": one.messages,
                    "id": one.variant.id,
                    "parent": one.variant.parent,
                    "chosen": [{"role": "assistant", "content": one.reply}],
                    "rejected": [{"role": "assistant", "content": worst.reply}],
                    "gain": one.gain,
                    "rejected_gain": worst.gain,
                    "rejected_id": worst.variant.id,
                }


def answered(run: OpenRun) -> Iterator[Answered]:
    """Return the proposals that a model answered.

    Args:
        run: the open run

    Yields:
        The last used reply of each proposal: of a repaired one, the repair. Quarantined
        proposals are left out.
    """
    for variant in run.browser.variants():
        if variant.quarantined or variant.operator == PERSON:
            continue
        calls = [
            c
            for c in run.archive.calls(variant.id)
            if c.state is CallState.REPLIED and c.reply and c.purpose.writes_code
        ]
        if calls:
            last = max(
                calls, key=lambda call: (call.purpose is CallPurpose.REPAIR, call.id)
            )
            yield Answered(
                variant,
                json.loads(last.request)["messages"],
                last.reply or "",
                variant.improvement if variant.score is not None else None,
            )
