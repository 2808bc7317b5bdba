"""`promote`: replace the champion if the best is better and no less safe; `audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from evolve.cli.options import (
    Json,
    RunName,
    RunsDir,
    Trust,
    emit,
    opened,
    own_run,
    run_folder,
)

if TYPE_CHECKING:
    from evolve.safety import Promotion


app = typer.Typer()


@app.command()
def promote(
    run: RunName = "last",
    runs_dir: RunsDir = None,
    candidates: Annotated[
        int, typer.Option(min=1, help="Number of variants to try on the select cases.")
    ] = 5,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Allow another look at the held-out cases; it is recorded."
        ),
    ] = False,
    approve: Annotated[
        bool, typer.Option("--approve", help="Ask for confirmation first.")
    ] = False,
    budget: Annotated[
        str | None, typer.Option(help="Dollars for the promotion alone.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens for the promotion alone.")
    ] = None,
    max_calls: Annotated[
        int | None, typer.Option(min=1, help="Calls for the promotion alone.")
    ] = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Promote the safest choice among the best variants if the evidence is sufficient.

    Exit code 1 if it is not. It spends the rest of the run's budget, or a separate budget.
    """
    import asyncio

    from evolve.config import parse_dollars
    from evolve.safety import Allowance
    from evolve.safety import promote as carry_out
    from evolve.view.terminal.console import err, note, out

    def ask(found: Promotion) -> bool:
        err.print(_text(found))
        return typer.confirm(f"promote {found.champion}?", err=True)

    folder = own_run(run_folder(runs_dir, run), trust)
    own = Allowance(
        None if budget is None else parse_dollars(budget), max_tokens, max_calls
    )
    done = asyncio.run(
        carry_out(
            folder,
            note,
            candidates,
            again,
            ask if approve else None,
            own if any(part is not None for part in own) else None,
        )
    )
    if json:
        emit(done.data())
    else:
        out.print(_text(done))
    if not done.promoted:
        raise typer.Exit(1)


def _text(done: Promotion) -> str:
    from evolve.archive import PROMOTE_AT

    compared = done.select
    lines = [
        f"champion {done.champion} against {done.incumbent}",
        f"select: {compared.wins} better, {compared.losses} worse, {compared.ties} equal; "
        f"E = {compared.e_value:.4g} ({PROMOTE_AT:g} is enough); "
        f"lower quantile {done.quantiles[done.champion]:.4f}",
    ]
    if done.safety is not None:
        lines.append(
            f"safety set: {done.safety.wins} better, {done.safety.losses} worse, "
            f"{done.safety.ties} equal"
        )
    for name, held in done.heldout.items():
        lines.append(
            f"heldout, {name}: {held.mean:.4f} in [{held.low:.4f}, {held.high:.4f}], "
            f"{held.cases} cases"
        )
    return "\n".join(
        [*lines, *(f"not promoted: {why}" for why in done.blocked)]
        + ([] if done.blocked else ["promoted"])
    )


@app.command()
def audit(run: RunName = "last", runs_dir: RunsDir = None, json: Json = False) -> None:
    """List all flags of a run: signs of deceit in scores, code and actions.

    Each flag is shown with the lineage of its variant.
    """
    from evolve.safety import audit_run
    from evolve.text import one_line
    from evolve.view.terminal.console import out

    with opened(runs_dir, run) as found:
        flags = audit_run(found.archive, found.code)
    if json:
        emit([flag._asdict() for flag in flags])
        return
    for flag in flags:
        out.print(
            f"{flag.variant}  {flag.kind}  {one_line(flag.where)}: {one_line(flag.words)}"
        )
        out.print(f"  from {' > '.join(flag.lineage)}", style="dim")
    out.print(f"{len(flags)} flags")
