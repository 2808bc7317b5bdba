"""One proposal in the terminal: scores, change, prompt and reply, patch, log."""

import json
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from evolve.archive import Call, Proposal
from evolve.peers.shared import EVALUATOR_SHARED
from evolve.runs.reader import OpenRun
from evolve.text import one_line, visible
from evolve.view.explain import what_for, why
from evolve.view.terminal.console import number
from evolve.view.terminal.lines import gap_to_best_known


def render_detail(run: OpenRun, proposal: Proposal) -> Group:
    """Render everything known about a proposal.

    Args:
        run: the open run
        proposal: one of its proposals

    Returns:
        Texts, calls and patch in reading order.
    """
    parts: list[RenderableType] = [
        Text(visible(line)) for line in _facts(run, proposal)
    ]
    if run.confirmed is not None and run.leader and run.leader.id == proposal.id:
        parts.append(Text(run.confirmed))
    for row in run.archive.evaluations(proposal.id):
        what = (
            number(row.score)
            if row.reason is None
            else f"{row.reason}: {visible(row.message)}"
        )
        parts.append(
            Text(f"case {row.case} ({row.split}): {what}  [{row.seconds:.3f} s]")
        )
        parts += [
            Text(f"  {one_line(key)} = {one_line(value, 300)}", style="dim")
            for key, value in row.metrics.items()
        ]
        if row.feedback:
            parts.append(Text(f"  {visible(row.feedback)}", style="dim"))
    for call in run.archive.calls(proposal.id):
        parts += _call(call)
    if proposal.tree is not None and proposal.parents:
        parts += [
            Rule("patch", align="left"),
            render_patch(run.patch(run.parent_of(proposal), proposal)),
        ]
    if proposal.log.strip():
        parts += [Rule("log", align="left"), Text(visible(proposal.log.strip()))]
    return Group(*parts)


def _facts(run: OpenRun, proposal: Proposal) -> Iterator[str]:
    variant = run.variant(proposal)
    yield f"{proposal.id}  number {proposal.number}, {proposal.state}, by {proposal.operator}"
    yield f"parents {', '.join(proposal.parents) or 'none: the seed'}"
    if proposal.note:
        yield f"did: {proposal.note}"
    if variant.score is not None:
        gap = gap_to_best_known(run.task, variant.score)
        yield f"score {number(variant.score)}{gap}"
        if run.shares_evaluator:
            yield f"{EVALUATOR_SHARED}: the program could change its own score"
        if run.through_transport:
            yield f"{run.through_transport}: the evaluator's times are not the program's"
        yield (
            f"improvement {number(variant.improvement)}, novelty {number(proposal.novelty)}, "
            f"{variant.children} children, ${variant.cost_usd:.4f}"
        )
    if proposal.id in run.signs:
        yield f"signs: {one_line(run.signs[proposal.id], 300)} (evolve audit)"
    yield why(run, proposal)


def _call(call: Call) -> list[RenderableType]:
    title = (
        f"{what_for(call)} call to {call.model}: {call.state}, {call.prompt_tokens} + "
        f"{call.completion_tokens} tokens, ${call.cost_usd:.4f}, {call.seconds:.1f} s"
    )
    parts: list[RenderableType] = [Rule(), Text(title, style="bold")]
    # an embedding call has no messages
    for message in json.loads(call.request).get("messages", ()):
        parts += [
            Text(f"[{message['role']}]", style="bold"),
            Text(visible(message["content"])),
        ]
    if call.reply is not None:
        parts += [Text("[reply]", style="bold"), Text(visible(call.reply))]
    if call.error:
        failed = call.reply is None
        word, style = ("error", "red") if failed else ("note", "yellow")
        parts.append(Text(f"{word}: {visible(call.error)}", style=style))
    return parts


def render_patch(patch: str) -> RenderableType:
    """Render a unified diff in colours.

    Args:
        patch: the diff; empty if there is none

    Returns:
        The rendered diff.
    """
    if not patch:
        return Text("no difference")
    return Syntax(visible(patch), "diff", background_color="default", word_wrap=False)


def render_best(run: OpenRun, proposal: Proposal, output: Path | None) -> Group:
    """Render the best variant and the command that reproduces its score.

    Args:
        run: the open run
        proposal: the best variant
        output: folder that its files were written to; None if they were not

    Returns:
        Facts and commands.
    """
    parts: list[RenderableType] = [
        Text(visible(line)) for line in _facts(run, proposal)
    ]
    if run.confirmed is not None and run.leader and run.leader.id == proposal.id:
        parts.append(Text(run.confirmed))
    if output is None:
        parts.append(Text(f"write its files: evolve best {run.folder.quoted} -o DIR"))
    else:
        parts.append(Text(f"written to {output}"))
        task, files = quote(str(run.folder.path / "task")), quote(str(output))
        parts.append(Text(f"score it again: evolve eval {task} {files}"))
        parts.append(
            Text(
                "  cases that use case.seed differ there; with the run's own seeds: "
                f"evolve verify {run.folder.quoted}"
            )
        )
    return Group(*parts)
