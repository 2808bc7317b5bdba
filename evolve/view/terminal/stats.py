"""`evolve stats`: results by operator and model, rejections, scorer, diversity."""

from statistics import fmean

from rich.console import Group, RenderableType
from rich.text import Text

from evolve.archive import State
from evolve.runs.reader import OpenRun
from evolve.search.setup import undivided
from evolve.text import Data, one_line
from evolve.view.terminal.console import DataTable
from evolve.view.web.payload import map_payload

LATEST = 100  # scored variants, for the current diversity of the search


def stats_data(run: OpenRun) -> Data:
    """Return the statistics as plain data.

    Args:
        run: the open run

    Returns:
        Values that JSON can hold.
    """
    browser, counts = run.browser, run.archive.counts()
    spend, causes = run.archive.spend(), browser.causes()
    novelty = [n.novelty for n in browser.variants() if n.novelty is not None]
    grid = map_payload(run)
    return {
        "run": run.folder.name,
        "task": run.folder.task_name,
        "proposals": {state.value: counts.get(state, 0) for state in State},
        "operators": [c._asdict() for c in run.lineage.contributions()],
        "models": [m._asdict() for m in browser.models()],
        "causes": [c._asdict() for c in causes],
        "duplicates_caught": sum(
            c.times for c in causes if c.reason in ("duplicate", "unchanged")
        ),
        "spend": {
            "usd": spend.usd,
            "uncertain_usd": spend.uncertain_usd,
            "tokens": spend.tokens,
            "calls": spend.calls,
        },
        "evaluator": browser.evaluator()._asdict(),
        "novelty": {
            "mean": fmean(novelty) if novelty else None,
            "latest": fmean(novelty[-LATEST:]) if novelty else None,
        },
        "grid": {
            key: grid[key]
            for key in ("coverage", "elites", "total", "qd_score", "norm_qd_score")
        },
    }


def render_stats(data: Data) -> Group:
    """Render the statistics as tables.

    Args:
        data: from `stats_data`

    Returns:
        Tables and lines.
    """
    used = data["evaluator"]
    parts: list[RenderableType] = [
        Text(f"{data['run']} · {data['task']}", style="bold"),
        Text(
            ", ".join(f"{n} {state}" for state, n in data["proposals"].items() if n)
            or "nothing yet"
        ),
        Text(""),
        _operators(data["operators"]),
    ]
    if data["models"]:
        parts += [Text(""), _models(data["models"])]
    if data["causes"]:
        parts += [Text(""), _causes(data["causes"])]
    parts += [
        Text(""),
        *(
            Text(line)
            for line in (
                f"spend      ${data['spend']['usd']:.4f} (${data['spend']['uncertain_usd']:.4f} not settled), "
                f"{data['spend']['tokens']:,} tokens, {data['spend']['calls']} calls",
                f"scorer     {used['rows']} evaluations, {used['seconds']:.1f} s, "
                f"{used['cpu_s']:.1f} s of CPU, at most {used['peak_memory_bytes'] / 1e6:.0f} MB",
                f"saved      {data['duplicates_caught']} duplicates were rejected before evaluation",
                _diversity(data),
            )
        ),
    ]
    grid = data["grid"]
    if advice := undivided(grid["elites"], data["proposals"][State.SCORED]):
        parts.append(Text(f"advice     {advice}"))
    return Group(*parts)


def _diversity(data: Data) -> str:
    grid, novelty = data["grid"], data["novelty"]
    if novelty["mean"] is None:
        return "diversity  nothing is scored yet"
    return (
        f"diversity  novelty {novelty['mean']:.4f} ({novelty['latest']:.4f} lately), "
        f"{grid['elites']} of {grid['total']} cells ({grid['coverage']:.1%}), "
        f"QD score {grid['qd_score']:.6g}"
    )


def _operators(rows: list[Data]) -> DataTable:
    table = _table("operator", "model", "made", "scored", "improved", "best", "gain")
    for row in rows:
        table.add_row(
            one_line(row["operator"], 200),
            one_line(row["model"] or "-", 200),
            *(str(row[key]) for key in ("made", "scored", "improved", "best")),
            f"{row['gain']:.6g}",
        )
    return table


def _models(rows: list[Data]) -> DataTable:
    table = _table("model", "", "calls", "failed", "tokens", "usd", "seconds each")
    for row in rows:
        table.add_row(
            one_line(row["model"], 200),
            "",
            str(row["calls"]),
            str(row["failed"]),
            f"{row['prompt_tokens'] + row['completion_tokens']:,}",
            f"{row['cost_usd']:.4f}",
            f"{row['seconds'] / row['calls']:.1f}",
        )
    return table


def _causes(rows: list[Data]) -> DataTable:
    table = _table("rejected or failed", "state", "times")
    for row in rows:
        table.add_row(one_line(row["reason"], 40), row["state"], str(row["times"]))
    return table


def _table(*names: str) -> DataTable:
    return DataTable(*names, whole=names[2:], right=names[2:])
