"""Notes without a model: what worked and what failed, from a snapshot alone."""

from collections import Counter

from evolve.archive import Outcome, Snapshot, State

BEST_CHANGES, REASONS = 5, 4
_NOTE_CHARS = 160


def statistics(snapshot: Snapshot) -> str:
    """Return a summary of the search for later prompts.

    Args:
        snapshot: The scored variants and the outcomes of all finished proposals.

    Returns:
        A few lines.
    """
    outcomes = snapshot.outcomes
    best = snapshot.best()
    lines = [
        f"{len(outcomes)} changes were tried; {_count(outcomes, State.SCORED)} were scored, "
        f"{sum(outcome.gain > 0 for outcome in outcomes)} made their program better."
    ]
    if best is not None:
        lines.append(f"The best score so far is {snapshot.score_of(best.id)!r}.")
    for name in sorted({outcome.operator for outcome in outcomes}):
        lines.append(
            _of_operator(name, [one for one in outcomes if one.operator == name])
        )
    improved = sorted(
        (one for one in outcomes if one.gain > 0), key=lambda one: -one.gain
    )
    if improved:
        lines.append("The changes that helped most:")
        lines += [
            f"- by {one.gain!r}: {_line(one.note)}" for one in improved[:BEST_CHANGES]
        ]
    reasons = Counter(one.reason for one in outcomes if one.reason).most_common(REASONS)
    if reasons:
        lines.append(
            "Why others came to nothing: "
            + ", ".join(f"{reason} ({count})" for reason, count in reasons)
            + "."
        )
    return "\n".join(lines)


def _of_operator(name: str, outcomes: list[Outcome]) -> str:
    better = sum(one.gain > 0 for one in outcomes)
    return f"- {name}: {len(outcomes)} tried, {better} better"


def _count(outcomes: list[Outcome], state: State) -> int:
    return sum(one.state is state for one in outcomes)


def _line(text: str) -> str:
    return " ".join(text.split())[:_NOTE_CHARS]
