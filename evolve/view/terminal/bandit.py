"""The state of the choice of operators and models, computed from the archive."""

from collections.abc import Sequence

from evolve.archive import Snapshot
from evolve.runs.build import make_operators, operator_mix
from evolve.runs.reader import OpenRun
from evolve.search import Arm
from evolve.view.terminal.console import DataTable


def bandit_of(run: OpenRun) -> list[Arm]:
    """Return the state of each (operator, model) pair.

    Args:
        run: the open run

    Returns:
        Largest share first.
    """
    settings = run.folder.settings
    mix = operator_mix(settings, make_operators(settings))
    arms = mix.arms(Snapshot.load(run.archive, run.task.spec.maximize))
    return sorted(arms, key=lambda arm: -arm.share)


def render_bandit(choice: str, arms: Sequence[Arm]) -> DataTable:
    """Return a table with one row per pair.

    Args:
        choice: the setting `operator_choice`
        arms: pairs with discounted plays, gain and cost

    Returns:
        The table.
    """
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
