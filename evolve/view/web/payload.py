"""Data for the scripts of the pages: columns of numbers, for server and export."""

import math
from collections.abc import Sequence
from typing import Any

from evolve.archive import Grid, State, Variant
from evolve.runs.reader import OpenRun
from evolve.runs.working_time import WorkingTime
from evolve.search.setup import measures_of
from evolve.text import one_line
from evolve.view.columns import View, columns_of

MOST_POINTS = 1500  # in a curve: more can't be distinguished
NOTE_CHARS = 80
_CURVE = ("n", "t", "usd", "score", "best", "id")  # an id where the best changes
Payload = dict[str, Any]


def tree_payload(run: OpenRun, variants: Sequence[Variant]) -> Payload:
    """Return all variants as columns.

    Args:
        run: the open run
        variants: its proposals, in the order of the decisions

    Returns:
        Columns; parents are given by their place, -1 for none, and words by their place
        in "words".
    """
    kept = [variant for variant in variants if variant.state != State.REJECTED.value]
    place = {variant.id: number for number, variant in enumerate(kept)}
    shown = columns_of(View.GRAPH)
    values = {column.name: [column.value(v) for v in kept] for column in shown}
    words = {
        name: list(dict.fromkeys(found))
        for name, found in values.items()
        if any(isinstance(value, str) for value in found)
    }
    return {
        **{name: _packed(found, words.get(name)) for name, found in values.items()},
        "words": {
            name: [word and one_line(word, 60) for word in found]
            for name, found in words.items()
        },
        "forms": {column.name: column.pattern for column in shown},
        "id": [variant.id for variant in kept],
        "parent": [place.get(variant.parent or "", -1) for variant in kept],
        "best": [int(variant.is_best) for variant in kept],
        "doubt": [number for number, v in enumerate(kept) if v.quarantined],
        "note": [one_line(variant.note, NOTE_CHARS) for variant in kept],
        "top": place.get(run.leader.id, -1) if run.leader else -1,
        "maximize": run.task.spec.maximize,
    }


def _packed(values: list[Any], words: list[Any] | None) -> list[Any]:
    """Return places of words, or numbers."""
    if words is None:
        return [_finite(v) if isinstance(v, float) else v for v in values]
    place = {word: number for number, word in enumerate(words)}
    return [place[value] for value in values]


def curve_payload(
    variants: Sequence[Variant], ranked: Sequence[str], worked: WorkingTime
) -> Payload:
    """Return scores and the best so far over variants, dollars and seconds, and rates.

    Args:
        variants: proposals
        ranked: ids of those that may be the best, best first
        worked: the time of the work, which has no pauses

    Returns:
        Columns in the order of completion; empty if nothing is finished.
    """
    ended = sorted(
        (n for n in variants if n.finished_at is not None),
        key=lambda n: n.finished_at or 0.0,
    )
    if not ended:
        return {name: [] for name in (*_CURVE, "rate_t", "rate", "spend")}
    rows: list[list[Any]] = []
    ranks = {name: rank for rank, name in enumerate(ranked)}
    lead, best, usd, count = len(ranks), None, 0.0, -1
    for variant in ended:
        usd += variant.cost_usd
        count += variant.state in (State.SCORED.value, State.FAILED.value)
        score = None if variant.quarantined else variant.score
        rank = ranks.get(variant.id, len(ranks))
        # by rank, so that the curve ends at the best, not at the luckiest measurement
        leads = rank < lead and score is not None
        lead, best = (rank, score) if leads else (lead, best)
        seconds = round(worked.until(variant.finished_at or 0.0), 2)
        rows.append(
            [
                max(count, 0),
                seconds,
                round(usd, 6),
                _finite(score),
                _finite(best),
                variant.id if leads else None,
            ]
        )
    step = max(1, len(rows) // MOST_POINTS)
    last = len(rows) - 1
    shown = [
        row
        for number, row in enumerate(rows)
        if number % step == 0 or number == last or row[5]
    ]
    columns = dict(zip(_CURVE, map(list, zip(*shown, strict=True)), strict=True))
    return columns | _rates(
        [row[1] or 0.0 for row in rows], [row[2] or 0.0 for row in rows]
    )


def map_payload(run: OpenRun) -> Payload:
    """Return the MAP-Elites grid of the run's measures.

    Args:
        run: the open run

    Returns:
        Axes, the best variant of each cell, and statistics.
    """
    axes = measures_of(run.task)
    measured, scores = run.browser.measures(), run.archive.scores()
    sign = 1.0 if run.task.spec.maximize else -1.0
    grid, names = Grid(axes), list(measured)
    for row, name in enumerate(names):
        if name in scores:
            cell = grid.cell([measured[name].get(axis.name, math.nan) for axis in axes])
            grid.add(row, cell, sign * scores[name])
    stats = grid.stats()
    return {
        "axes": [
            {"name": a.name, "low": a.low, "high": a.high, "bins": a.bins} for a in axes
        ],
        "cells": [
            {"cell": cell, "id": names[row], "score": scores[names[row]]}
            for cell, row in grid.elites.items()
        ],
        "coverage": stats.coverage,
        "elites": stats.num_elites,
        "total": grid.cells,
        "qd_score": stats.qd_score,
        "norm_qd_score": stats.norm_qd_score,
        "maximize": run.task.spec.maximize,
    }


def projection_payload(run: OpenRun) -> Payload:
    """Return variants in the plane of the first two principal components.

    Args:
        run: the open run

    Returns:
        Columns, and the share of the variance of the code vectors that the plane
        explains, from 0 to 1.
    """
    import numpy as np

    from evolve.archive.novelty import unpack_vector

    packed = run.browser.vectors()
    scores, numbers = run.archive.scores(), run.archive.trusted()
    names = sorted(
        (name for name in packed if name in numbers), key=lambda name: numbers[name]
    )
    if len(names) < 3:
        return {"id": [], "x": [], "y": [], "score": [], "explained": 0.0}
    matrix = np.stack([unpack_vector(packed[name]) for name in names])
    matrix = matrix - matrix.mean(axis=0)
    # as wide as a vector, for any number of rows
    spread, directions = np.linalg.eigh(matrix.T @ matrix)
    plane = matrix @ directions[:, [-1, -2]]
    explained = float(spread[-2:].sum() / max(float(spread.sum()), 1e-12))
    return {
        "id": names,
        "x": [round(float(v), 4) for v in plane[:, 0]],
        "y": [round(float(v), 4) for v in plane[:, 1]],
        "score": [_finite(scores.get(name)) for name in names],
        "explained": explained,
    }


def _finite(value: float | None) -> float | None:
    """Return a number at full precision; None if JSON can't hold it."""
    return value if value is not None and math.isfinite(value) else None


def _rates(seconds: list[float], dollars: list[float], buckets: int = 60) -> Payload:
    """Return finished proposals per minute and dollars spent, in equal intervals."""
    if not seconds:
        return {"rate_t": [], "rate": [], "spend": []}
    width = max(seconds[-1] / buckets, 1e-9)
    count, spent = [0] * buckets, [0.0] * buckets
    for at, usd in zip(seconds, dollars, strict=True):
        bucket = min(int(at / width), buckets - 1)
        count[bucket] += 1
        spent[bucket] = usd
    for bucket in range(1, buckets):
        spent[bucket] = max(spent[bucket], spent[bucket - 1])
    return {
        "rate_t": [round((b + 1) * width, 2) for b in range(buckets)],
        "rate": [round(60.0 * n / width, 3) for n in count],
        "spend": spent,
    }
