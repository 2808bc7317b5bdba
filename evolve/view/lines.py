"""Plain lines for logs and pipes, and JSON lines for programs."""

from __future__ import annotations

import json
import sys
from typing import Any

from archive import Proposal, State
from evolve.launch import Outcome
from evolve.progress import Progress
from evolve.run import RunFolder
from evolve.tasks import Task
from evolve.view.console import err, number


class LinesView:
    """One line for each candidate, on stderr."""

    def note(self, message: str) -> None:
        """A line before or beside the run."""
        err.print(message, markup=False)

    def launched(self, run: RunFolder, task: Task, progress: Progress) -> None:
        """Where it begins."""
        err.print(f"run {run.name} on {task.spec.name}: best {number(progress.best_score)}",
                  markup=False)

    def finished(self, proposal: Proposal, score: float | None, progress: Progress) -> None:
        """One candidate."""
        mark = "*" if proposal.kept and proposal.kept.value == "best" else " "
        what = number(score) if score is not None else f"{proposal.reason}: {proposal.message}"
        line = (f"{mark} {progress.variants:>5} {proposal.id[:8]} {proposal.state:<8} "
                f"{proposal.operator:<10} {what.splitlines()[0][:100]}\n")
        sys.stderr.write(line)  # no terminal, so nothing for rich to lay out, which takes a millisecond

    def waiting(self, message: str) -> None:
        """The machine failed."""
        self.note(message)

    def done(self, outcome: Outcome, task: Task) -> None:
        """How it ended and what to do next."""
        for line in closing_lines(outcome, task):
            self.note(line)


class JsonView(LinesView):
    """JSON lines on stdout; what is no data goes to stderr."""

    def launched(self, run: RunFolder, task: Task, progress: Progress) -> None:
        assert progress.best is not None or progress.best_score is None
        _write({"event": "launch", "run": str(run.path), "task": task.spec.name,
                "best": _best(progress)})

    def finished(self, proposal: Proposal, score: float | None, progress: Progress) -> None:
        rejected = proposal.state is State.REJECTED
        _write({"event": "variant", "proposal": proposal.id, "number": proposal.number,
                "id": None if rejected else proposal.id, "parents": list(proposal.parents),
                "operator": proposal.operator, "status": proposal.state.value, "score": score,
                "reason": proposal.reason, "best": progress.best_score})

    def waiting(self, message: str) -> None:
        _write({"event": "waiting", "message": message})

    def done(self, outcome: Outcome, task: Task) -> None:
        progress = outcome.progress
        _write({"event": "done", "best": _best(progress), "variants": progress.variants,
                "seconds": round(progress.seconds, 3), "stopped": outcome.stopped,
                "spend_usd": progress.spend.usd})


def closing_lines(outcome: Outcome, task: Task) -> list[str]:
    """The last words of a run."""
    progress, run = outcome.progress, outcome.run
    per_minute = 60.0 * progress.variants / progress.seconds if progress.seconds else 0.0
    lines = [f"stopped: {outcome.stopped}",
             f"{progress.variants} variants ({progress.failed} failed), {progress.rejected} "
             f"rejected, {progress.seconds:.1f} s, {per_minute:.0f} a minute"]
    if progress.best is not None:
        lines.append(f"best {number(progress.best_score)} (seed {number(outcome.seed_score)}"
                     f"{gap_to_best_known(task, progress.best_score)}): {progress.best.id}")
    if progress.spend.calls:
        lines.append(f"{progress.spend.calls} model calls, {progress.spend.tokens:,} tokens, "
                     f"${progress.spend.usd:.4f}")
    lines.append(f"look: evolve tree {run.name} · evolve best {run.name} · "
                 f"go on: evolve resume {run.name} --max-variants N")
    return lines


def gap_to_best_known(task: Task, score: float | None) -> str:
    """How far the best known score is, in words; empty when the task names none."""
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
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()
