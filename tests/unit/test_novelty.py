"""Vectors of programs: what they fold, what is near, and what is stored."""

from __future__ import annotations

import os

import numpy as np
import pytest

from evolve.archive import NoveltyIndex, embed, fingerprint, pack_vector, unit
from evolve.archive.accelerated import Mirror
from evolve.archive.case_scores import CaseScores, Trial
from evolve.archive.novelty import unpack_vector

PROGRAM = b'''"""Says what it does."""
import math


def area(width, height=2):  # a comment
    """Another one."""
    total = width * height + math.sqrt(width)
    for k in range(3):
        total += k
    return total
'''


def changed(old: bytes, new: bytes) -> dict[str, bytes]:
    assert old in PROGRAM
    return {"a.py": PROGRAM.replace(old, new)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"  # a comment", b""),
        (b"total", b"whole"),
        (b"width", b"w"),
        (b'    """Another one."""\n', b""),
        (b" * ", b"*"),
        (b"    ", b"  "),
        (b"\n\n\n", b"\n"),
    ],
)
def test_comments_names_and_formatting_are_folded(old: bytes, new: bytes) -> None:
    same = changed(old, new)
    assert fingerprint(same) == fingerprint({"a.py": PROGRAM})
    assert float(embed(same) @ embed({"a.py": PROGRAM})) == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"sqrt", b"exp"),
        (b"range(3)", b"range(4)"),
        (b"        total += k", b"    total += k"),
        (b"total += k", b"total -= k"),
        (b"import math", b"import cmath"),
        (b"return total", b"return k"),
    ],
)
def test_what_a_program_does_is_not_folded(old: bytes, new: bytes) -> None:
    assert fingerprint(changed(old, new)) != fingerprint({"a.py": PROGRAM})
    assert float(embed(changed(old, new)) @ embed({"a.py": PROGRAM})) < 0.9999


def test_other_languages_have_other_comments() -> None:
    one, other = (
        {"a.c": text}
        for text in (
            b"int f(int a) { return a / 2; } // half",
            b"int f(int a){ /* half */ return a/2; }",
        )
    )
    assert fingerprint(one) == fingerprint(other)
    floor = {"a.py": b"x = 7 // 2\ny = 1\n"}
    assert fingerprint(floor) != fingerprint({"a.py": b"x = 7\ny = 1\n"}), (
        "no comment in Python"
    )


def test_the_nearest_are_those_of_a_plain_loop() -> None:
    rng, index = np.random.default_rng(0), NoveltyIndex()
    vectors = [unit(rng.standard_normal(64)) for _ in range(200)]
    for vector in vectors:
        index.append(vector)
    query = unit(rng.standard_normal(64))
    plain = sorted(
        (1.0 - float(vector @ query), row) for row, vector in enumerate(vectors)
    )[:7]
    found = index.nearest(query, 7)
    assert found.rows.tolist() == [row for _, row in plain]
    assert found.distances == pytest.approx(
        [distance for distance, _ in plain], abs=1e-6
    )
    assert set(index.nearest(query, 3, among=20).rows.tolist()) <= set(range(20))
    assert NoveltyIndex().novelty(query) == 1.0


def test_a_stored_vector_is_the_same_vector() -> None:
    vector = unit(np.random.default_rng(1).standard_normal(384))
    assert np.array_equal(unpack_vector(pack_vector(vector)), vector)
    assert (
        len(pack_vector(vector)) == 768
        and abs(float(np.linalg.norm(vector)) - 1) < 1e-3
    )


@pytest.mark.slow
def test_torch_agrees_with_numpy() -> None:
    if not os.environ.get("CI"):  # which installs it for the slow tests
        pytest.importorskip("torch", reason="the extra torch is not installed")
    rng, plain = np.random.default_rng(2), NoveltyIndex()
    mirrored = NoveltyIndex(Mirror("cpu", pays_from=1))
    for _ in range(150):
        vector = unit(rng.standard_normal(32))
        plain.append(vector)
        mirrored.append(vector)
        query = unit(rng.standard_normal(32))
        assert mirrored.nearest(query).distances == pytest.approx(
            plain.nearest(query).distances, abs=1e-5
        )


def test_behaviour_is_the_distance_of_scores_by_case() -> None:
    trials = CaseScores(("a", "b"))

    def scores(a: float, b: float | None) -> list[Trial]:
        return [Trial("a", 0, a), Trial("b", 0, b)]

    assert trials.behaviour(scores(1, 1)) == 1.0, "nobody to compare with"
    trials.append(scores(0, 0))
    assert trials.behaviour(scores(0, 0)) == 0.0
    # case a has a spread of 4, case b of 2: (4/4, 2/2) -> 1; the half of each -> .5
    assert trials.behaviour(scores(4, 2)) == 1.0
    trials.append(scores(4, 2))
    assert trials.behaviour(scores(2, 1)) == 0.5
    assert trials.behaviour(scores(4, None)) == 0.5, (
        "over what both have tried: 1 and 0"
    )
