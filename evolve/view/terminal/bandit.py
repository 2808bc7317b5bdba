"""The state of the choice between operators and models, computed from the archive's rows."""

from __future__ import annotations

from collections.abc import Sequence

from evolve.archive import Snapshot
from evolve.runs.build import make_operators, operator_mix
from evolve.runs.reader import OpenRun
from evolve.search import Arm
from evolve.view.terminal.console import DataTable


def bandit_of(run: OpenRun) -> list[Arm]:
    """Every (operator, model) of the run, the largest share first."""
    settings = run.folder.settings
    mix = operator_mix(settings, make_operators(settings))
    arms = mix.arms(Snapshot.load(run.archive, run.task.spec.maximize))
    return sorted(arms, key=lambda arm: -arm.share)


def render_bandit(choice: str, arms: Sequence[Arm]) -> DataTable:
    """One row for each; plays, gain and cost are discounted."""
    used = (
        "is used" if choice == "bandit" else f"is NOT used: operator_choice = {choice}"
    )
    figures = ("plays", "gain", "cost", "worth", "bonus", "share")
    table = DataTable(
        "operator",
        "model",
        *figures,
        whole=("operator", *figures),
        right=figures,
        title=f"gain for cost; this choice {used}",
    )
    for arm in arms:
        table.add_row(
            arm.operator,
            arm.model or "-",
            f"{arm.plays:.1f}",
            f"{arm.gain:.3g}",
            f"{arm.cost:.3g}",
            f"{arm.worth:.3f}",
            f"{arm.bonus:.3f}",
            f"{arm.share:.1%}",
        )
    return table
