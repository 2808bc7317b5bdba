"""`evolve simulate`: policies in a world without models or sandboxes."""

from __future__ import annotations

from typing import Annotated

import typer

from evolve.cli.options import Json, emit


def register(app: typer.Typer) -> None:
    """Add the verb of this file."""
    app.command()(simulate)


def simulate(
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="A policy, or an ablation of HGM: hgm_own, hgm_pooled, hgm_alpha6; repeatable.",
            show_default="dgm, hgm_own, hgm_pooled, hgm",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Runs of each policy.")] = 60,
    evaluations: Annotated[
        int, typer.Option(min=1, help="Evaluations of one case in each run.")
    ] = 800,
    cases: Annotated[
        int,
        typer.Option(min=0, help="Pass/fail cases; 0: one unbounded score instead."),
    ] = 60,
    noise: Annotated[
        float,
        typer.Option(min=0, help="Standard deviation of a score, with --cases 0."),
    ] = 0.0,
    json: Json = False,
) -> None:
    """Compare policies in a simulated world, without task, model or sandbox."""
    from evolve.search.simulated import World
    from evolve.search.simulated import simulate as run
    from evolve.view.terminal.simulation import figures_of, simulation_table

    world = World(cases=cases, evaluations=evaluations, noise=noise)
    found = {
        name: figures_of(run(name, world, seeds))
        for name in policy or ["dgm", "hgm_own", "hgm_pooled", "hgm"]
    }
    if json:
        emit({name: row._asdict() for name, row in found.items()})
        return
    from evolve.view.terminal.console import out

    out.print(simulation_table(found, seeds, evaluations))
