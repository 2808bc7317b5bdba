"""Plain lines for logs and pipes, and JSON lines for programs."""

import json
import re
import sys
import time
from dataclasses import asdict
from typing import Any

from evolve.archive import State
from evolve.engine.progress import Progress
from evolve.runs.events import Finished
from evolve.runs.folder import RunFolder
from evolve.runs.launch import RunOutcome
from evolve.tasks import Task
from evolve.text import one_line
from evolve.view.terminal.console import counted, err, mute_closed, number
from evolve.view.terminal.follow import Streaming
from evolve.view.terminal.status import go_on

SAY_AGAIN_S = 20.0


class LinesView(Streaming):
    """View with one line per candidate, on stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._best: float | None = None
        self._waits_for, self._said_at = "", 0.0

    def note(self, message: str) -> None:
        """Print a line.

        Args:
            message: for people
        """
        err.print(message)

    def launched(self, run: RunFolder, task: Task, progress: Progress) -> None:
        """Print the state at the start and follow the run.

        Args:
            run: its folder
            task: its task
            progress: figures at the start
        """
        self.begin(run, task, progress)
        self._best = progress.best_score
        super().launched(run, task, progress)

    def begin(self, run: RunFolder, task: Task, progress: Progress) -> None:
        """Print the state at the start.

        Args:
            run: its folder
            task: its task
            progress: figures at the start
        """
        err.print(
            f"run {run.name} on {task.spec.name}: best {number(progress.best_score)}, "
            f"random seed {run.settings.seed}"
        )

    def ended(self, event: Finished) -> None:
        """Print one candidate.

        Args:
            event: from the archive
        """
        self._waits_for = ""
        if event.best and not event.quarantined:
            self._best = event.score
        self.tell(event)

    def tell(self, event: Finished) -> None:
        """Write the line of a candidate.

        Args:
            event: from the archive
        """
        mark = "*" if event.best else " "
        what = (
            number(event.score)
            if event.score is not None
            else f"{event.reason}: {event.message}"
        )
        line = (
            f"{mark} {event.number:>5} {event.proposal[:8]} {event.state:<8} "
            f"{event.operator:<10} {one_line(what)}\n"
        )
        try:
            # without rich, which needs time for a layout that plain lines don't have
            sys.stderr.write(line)
        except BrokenPipeError:
            mute_closed()

    def waiting(self, message: str) -> None:
        """Print that the machine failed and is waited for.

        Equal messages of concurrent calls are printed once, then every `SAY_AGAIN_S`
        seconds.

        Args:
            message: for people
        """
        # a changed duration does not make a new message
        now, words = time.monotonic(), re.sub(r"\d+", "N", message)
        if words != self._waits_for or now - self._said_at > SAY_AGAIN_S:
            self._waits_for, self._said_at = words, now
            self.note(message)

    def done(self, outcome: RunOutcome, task: Task) -> None:
        """Print how the run ended and what to do next.

        Args:
            outcome: how the run ended
            task: its task
        """
        super().done(outcome, task)
        for line in closing_lines(outcome, task):
            self.note(line)


class QuietLines(LinesView):
    """View with messages only, for logs: start, problems, end."""

    def tell(self, event: Finished) -> None:
        """Print nothing."""


class JsonView(LinesView):
    """View with JSON lines on stdout; everything else goes to stderr."""

    def begin(self, run: RunFolder, task: Task, progress: Progress) -> None:
        """Write the event `launch`: run directory, task and best variant."""
        assert progress.best is not None or progress.best_score is None
        _write(
            {
                "event": "launch",
                "run": str(run.path),
                "task": task.spec.name,
                "best": _best(progress),
            }
        )

    def tell(self, event: Finished) -> None:
        """Write the event `variant` of a proposal; `id` is null if it was rejected."""
        rejected = event.state == State.REJECTED.value
        _write(
            {
                "event": "variant",
                "proposal": event.proposal,
                "number": event.number,
                "id": None if rejected else event.proposal,
                "parents": list(event.parents),
                "operator": event.operator,
                "status": event.state,
                "score": event.score,
                "reason": event.reason,
                "best": self._best,
            }
        )

    def waiting(self, message: str) -> None:
        """Write the event `waiting`, also for a message that repeats."""
        _write({"event": "waiting", "message": message})

    def done(self, outcome: RunOutcome, task: Task) -> None:
        """Write the remaining variants, then the event `done` with the final figures."""
        Streaming.done(self, outcome, task)
        progress = outcome.progress
        _write(
            {
                "event": "done",
                "best": _best(progress),
                "variants": progress.variants,
                "seconds": round(progress.seconds, 3),
                "stopped": outcome.stopped,
                "stalls": progress.stalls,
                "staleness": round(progress.staleness, 3),
                "spend_usd": progress.spend.usd,
                "confirmed": asdict(outcome.confirmed) if outcome.confirmed else None,
            }
        )


def closing_lines(outcome: RunOutcome, task: Task) -> list[str]:
    """Return the summary at the end of a run.

    Args:
        outcome: how the run ended
        task: its task

    Returns:
        Lines for people.
    """
    progress, run = outcome.progress, outcome.run
    lines = [
        f"stopped: {outcome.stopped}",
        f"{counted(progress.variants, 'variant')} ({progress.failed} failed), {progress.rejected} "
        f"rejected, {progress.seconds:.1f} s",
    ]
    if progress.best is not None and progress.best_score is not None:
        better = 1.0 if task.spec.maximize else -1.0
        gain = better * (progress.best_score - outcome.seed_score)
        lines.append(
            f"best {number(progress.best_score)} (seed {number(outcome.seed_score)}, gain "
            f"{gain:+.6g}{gap_to_best_known(task, progress.best_score)}): {progress.best.id}"
        )
    if progress.stalls:
        lines.append(
            f"a window of {run.settings.window} held decisions back {progress.stalls} times; "
            f"{progress.staleness:.1f} variants were scored between a decision and its end"
        )
    if progress.spend.calls:
        spend = progress.spend
        lines.append(
            f"{counted(spend.calls, 'model call')}, {spend.tokens:,} tokens, ${spend.usd:.4f}"
        )
    if not run.settings.model and run.replay_of is None:
        lines.append(
            "small random edits only, as no model was asked; a model writes larger changes: "
            "evolve run TASK_DIR --model NAME"
        )
    lines.append(
        f"look: evolve tree {run.quoted} · evolve best {run.quoted} · "
        f"{go_on(run.name, outcome.stopped)}"
    )
    if outcome.confirmed is not None:
        lines.append(outcome.confirmed.in_words())
    elif task.spec.timing is not None and run.replay_of is None:
        lines.append("no improvement that is sure")
    return lines


def gap_to_best_known(task: Task, score: float | None) -> str:
    """Describe the distance to the best known score.

    Args:
        task: may name the best known score
        score: the score to compare, or None

    Returns:
        A phrase that begins with a comma; empty if either score is missing.
    """
    known = task.spec.best_known
    if known is None or score is None:
        return ""
    gap = known.score - score if task.spec.maximize else score - known.score
    return f", best known {known.score!r}, gap {gap:.6g}"


def _best(progress: Progress) -> dict[str, Any] | None:
    if progress.best is None:
        return None
    return {"id": progress.best.id, "score": progress.best_score}


def _write(event: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        mute_closed()
        err.print("the output was closed; the run goes on: evolve watch")
