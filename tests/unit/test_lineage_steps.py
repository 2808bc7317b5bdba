"""The steps that views show between the seed and a variant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evolve.runs.reader import OpenRun
from evolve.view.web.pages import lineage_of
from evolve.view.web.relatives import PreloadedLineage, Relatives
from tests.made_runs import Made, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenRun]:
    folder = tmp_path_factory.mktemp("lineage")
    opened = OpenRun(make_run(folder / "runs", "r", Made(80)))
    yield opened
    opened.close()


def test_gains_add_up_to_the_whole_gain(run: OpenRun) -> None:
    scored = [v for v in run.variants if v.score is not None and v.number]
    seed = run.variant(run.archive.first()).score
    for variant in scored:
        steps = lineage_of(Relatives(run), variant.id)
        assert steps[0].gain is None and steps[0].variant.number == 0
        if any(step.variant.score is None or step.skipped for step in steps):
            continue
        gains = sum(step.gain or 0.0 for step in steps)
        assert variant.score is not None and seed is not None
        assert gains == pytest.approx(variant.score - seed)


def test_a_step_is_from_the_nearest_parent(run: OpenRun) -> None:
    crossed = [v for v in run.variants if len(set(v.parents)) > 1]
    chosen = {v.id: run.nearest_parent(v.id, v.parents) for v in crossed}
    for variant in crossed:
        child = run.archive.proposal(variant.id)
        sizes = {
            name: len(run.patch(run.archive.proposal(name), child))
            for name in variant.parents
        }
        assert sizes[str(chosen[variant.id])] == min(sizes.values())
    assert any(chosen[v.id] != v.parent for v in crossed), "not always the first"
    assert run.nearest_parent("any", ()) is None


def test_a_page_of_all_variants_shows_the_same_steps(run: OpenRun) -> None:
    kin = PreloadedLineage(run, run.browser.variants())
    for variant in run.best(10):
        assert lineage_of(kin, variant.id) == lineage_of(Relatives(run), variant.id)
