"""The archive: what is written is what is read, in SQL, in git and in the snapshot."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, text

import evolve.archive as archive_package
from evolve.archive import (
    AddStatus,
    Archive,
    ArchiveError,
    ArchiveReader,
    Browser,
    Call,
    CallPurpose,
    CallState,
    CodeStore,
    Decision,
    Evaluation,
    Kind,
    NotFound,
    NoveltyIndex,
    Proposal,
    SharedPrompt,
    Snapshot,
    Spend,
    State,
    derive_id,
    embed,
)
from evolve.archive.schema import REVISION, metadata

STORED = Path(__file__).parent / "stored"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Archive]:
    made = Archive.create(tmp_path / "archive.db", {"seed": "1"})
    yield made
    made.close()


def proposal(number: int, *parents: int) -> Proposal:
    return Proposal(
        derive_id(1, number),
        number,
        State.PLANNED,
        "syntactic",
        tuple(derive_id(1, p) for p in parents),
        0,
        1.0,
    )


def scored(store: Archive, number: int, score: float, *parents: int) -> Proposal:
    made = proposal(number, *parents)
    store.plan(made)
    store.propose(made.id, f"{number:040x}", f"{number:040x}", "note")
    store.evaluating(made.id)
    done = replace(made, kept=AddStatus.KEPT, novelty=0.5)
    store.score(done, [Evaluation("main", "search", 0, score)])
    return made


def call(of: Proposal, usd: float = 0.5) -> Call:
    return Call(
        0,
        of.id,
        CallPurpose.PROPOSE,
        0,
        "m",
        '{"messages": []}',
        CallState.SENT,
        100,
        usd,
    )


def test_ids_follow_from_seed_and_number() -> None:
    assert derive_id(3, 4) == derive_id(3, 4) != derive_id(3, 5)
    assert len({derive_id(s, n) for s in range(30) for n in range(30)}) == 900


def test_a_life_of_a_proposal(store: Archive) -> None:
    scored(store, 0, 1.0)
    child = proposal(1, 0)
    store.plan(child)
    assert store.proposal(child.id) == child
    store.propose(child.id, "a" * 40, "b" * 40, "did something")
    store.fail(
        child.id,
        "timeout",
        "too slow",
        "log",
        [Evaluation("main", "search", 0, None, reason="timeout", message="too slow")],
    )
    read = store.proposal(child.id[:9])
    assert (read.state, read.reason, read.log, read.parents) == (
        State.FAILED,
        "timeout",
        "log",
        child.parents,
    )
    assert [e.kind for e in store.events()] == [
        "planned",
        "proposed",
        "evaluating",
        "scored",
        "planned",
        "proposed",
        "failed",
    ]
    assert store.counts() == {State.FAILED: 1}


def test_scores_are_means_over_cases_of_the_search_split(store: Archive) -> None:
    made = proposal(0)
    store.plan(made)
    rows = [
        Evaluation("a", "search", 0, 1.0),
        Evaluation("a", "search", 1, 3.0),
        Evaluation("b", "search", 0, 8.0),
        Evaluation("h", "heldout", 0, 100.0),
        Evaluation("b", "search", 2, 50.0, reason="replaced"),
    ]
    store.score(replace(made, kept=AddStatus.BEST, novelty=1.0), rows)
    assert store.scores() == {made.id: 5.0}
    assert store.scores("heldout") == {made.id: 100.0}
    assert [row.score for row in store.evaluations(made.id)] == [
        1.0,
        3.0,
        8.0,
        100.0,
        50.0,
    ]


def test_nothing_is_kept_of_a_transaction_that_fails(store: Archive) -> None:
    made = scored(store, 0, 1.0)
    events = store.last_event()
    with pytest.raises(Exception, match="UNIQUE"):
        store.fail(made.id, "x", "y", "", [Evaluation("main", "search", 0, 2.0)])
    assert (
        store.proposal(made.id).state is State.SCORED and store.last_event() == events
    )


def test_spend_is_settled_plus_reserved(store: Archive) -> None:
    made = proposal(0)
    store.plan(made)
    first, lost = store.send_calls([call(made), call(made, 0.25)])
    assert (store.spend().usd, store.spend().tokens) == (0.75, 200)
    store.settle_calls(
        [
            replace(
                call(made),
                id=first,
                state=CallState.REPLIED,
                reply="ü\ud800",
                prompt_tokens=7,
                completion_tokens=3,
                cost_usd=0.125,
            )
        ]
    )
    assert store.expire_calls() == 1
    spend = store.spend()
    assert (spend.settled_usd, spend.uncertain_usd, spend.usd) == (0.125, 0.25, 0.375)
    assert (spend.tokens, spend.calls) == (110, 2)
    states = {c.id: c.state for c in store.calls(made.id)}
    assert states == {first: CallState.REPLIED, lost: CallState.UNCERTAIN}
    assert store.calls()[0].reply == "ü\ud800"
    assert store.proposal(made.id).state is State.REPLIED


def test_the_running_spend_is_what_the_rows_say(store: Archive) -> None:
    made = proposal(0)
    store.plan(made)
    spend = store.spend()
    assert spend == Spend()
    for usd in (0.25, 0.5, 1.0):
        store.send_calls([call(made, usd)])
        assert spend.sent(call(made, usd)).taken_back(call(made, usd)) == spend
        spend = spend.sent(call(made, usd))
        assert spend == store.spend()
    replied, failed, lost = store.calls()
    for ended in (
        replace(
            replied,
            state=CallState.REPLIED,
            prompt_tokens=7,
            completion_tokens=3,
            cost_usd=0.125,
        ),
        replace(failed, state=CallState.FAILED),
        replace(lost, state=CallState.UNCERTAIN),
    ):
        store.settle_calls([ended])
        spend = spend.ended(ended)
        assert spend == store.spend()
    assert spend == Spend(3, 110, 1.125, 0.125, 1.0)


def test_prefixes(store: Archive) -> None:
    for number in range(40):
        scored(store, number, 1.0)
    with pytest.raises(NotFound, match="matches several"):
        store.proposal("")
    with pytest.raises(NotFound, match="there is no"):
        store.proposal("%")


def test_readers_can_not_write_and_see_what_is_committed(store: Archive) -> None:
    reader = ArchiveReader.open(store.path)
    scored(store, 0, 4.0)
    assert [v.score for v in Browser(reader).variants()] == [4.0]
    with (
        pytest.raises(Exception, match="readonly"),
        reader._engine.begin() as connection,
    ):
        connection.exec_driver_sql("DELETE FROM events")
    reader.close()
    with pytest.raises(ArchiveError, match="does not exist"):
        ArchiveReader.open(store.path.parent / "nothing.db")


def test_a_new_archive_is_what_the_schema_says(store: Archive) -> None:
    assert_as_the_schema_says(store)


def assert_as_the_schema_says(archive: Archive) -> None:
    found = inspect(archive._engine)
    assert set(found.get_table_names()) == {*metadata.tables, "alembic_version"}
    for name, table in metadata.tables.items():
        columns = {
            c["name"]: (str(c["type"]), c["nullable"]) for c in found.get_columns(name)
        }
        assert columns == {c.name: (str(c.type), c.nullable) for c in table.columns}
        indexed = {tuple(i["column_names"]) for i in found.get_indexes(name)}
        assert {tuple(c.name for c in i.columns) for i in table.indexes} <= indexed


@pytest.mark.parametrize("path", sorted(STORED.glob("*.db")), ids=lambda p: p.stem)
def test_a_stored_database_of_each_version_opens(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    opened = Archive.open_to_write(copy)
    assert [v.score for v in Browser(opened).variants()][:3] == [1.0, 2.0, None]
    assert opened.spend().settled_usd == 0.125
    assert_as_the_schema_says(opened)
    assert opened.rows(text("SELECT version_num FROM alembic_version")) == [(REVISION,)]
    opened.close()


def test_what_schema_3_said_in_numbers_has_names(tmp_path: Path) -> None:
    """Rounds of calls, the operator `evaluate`, and decisions: as they were written by schema 3."""
    copy = tmp_path / "archive.db"
    copy.write_bytes((STORED / "schema-0003.db").read_bytes())
    with closing(Archive.open_to_write(copy)) as opened:
        calls = [(call.purpose, call.step) for call in opened.calls()]
        seed, child, agent, learned, open_ = opened.proposals()
    assert calls == [
        (CallPurpose.PROPOSE, 0),
        (CallPurpose.REPAIR, 0),
        (CallPurpose.EMBED, 0),
        (CallPurpose.JUDGE, 0),
        (CallPurpose.JUDGE, 1),
        (CallPurpose.EPISODE, 3),
        (CallPurpose.NOTES, 2),
    ]
    assert {seed.kind, child.kind, agent.kind} == {Kind.EXPAND}
    assert {learned.kind, open_.kind} == {Kind.EVALUATE}
    assert learned.evaluates == open_.evaluates == ("main", 1)
    assert child.decision == Decision(
        notes=2,
        hints=5,
        shared=SharedPrompt(1, 2),
        settled=0,
        cases=1,
        keep={"preference": [0.5, 1.0]},
    )
    assert agent.decision.attempts == (child.id,)
    assert agent.decision.lessons == ((seed.id, child.id),)
    assert (child.as_of_event, child.model, child.island) == (3, "openai/small", 1)


def test_code_is_what_git_reads(tmp_path: Path) -> None:
    code = CodeStore.create(tmp_path / "code.git")
    files = {
        "a.py": b"x\n",
        "d/e/f.txt": b"\x00\xff",
        "d.py": b"",
        "run.sh": b"#!/bin/sh\n",
    }
    first = code.commit(files, [], "the seed")
    second = code.commit(files | {"a.py": b"y\n"}, [first.commit], "child")
    assert code.files(first.tree) == files
    code.tidy({"one": first.commit, "two": second.commit}, second.commit)
    assert CodeStore.open(tmp_path / "code.git").files(second.tree)["a.py"] == b"y\n"
    third = code.commit(files, [second.commit], "after packing")
    assert third.tree == first.tree

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", f"--git-dir={code.path}", *arguments],
            check=True,
            text=True,
            capture_output=True,
        ).stdout

    assert git("show", "best:a.py") == "y\n"
    assert git("log", "--format=%s", "best").split("\n")[:2] == ["child", "the seed"]
    assert "100755" in git("ls-tree", "best", "run.sh")
    assert git("fsck", "--no-dangling", "--strict") == ""
    # older versions wrote each ref as a file first
    git("update-ref", "refs/heads/best", first.commit)
    git("update-ref", "refs/variants/two", first.commit)
    code.tidy({"two": third.commit}, third.commit)
    assert git("for-each-ref", "--format=%(objectname) %(refname)").splitlines() == [
        f"{third.commit} refs/heads/best",
        f"{first.commit} refs/variants/one",
        f"{third.commit} refs/variants/two",
    ]
    with pytest.raises(ArchiveError, match="no object"):
        code.files("0" * 40)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-9, 9), st.integers(0, 10**6), st.sampled_from("sfrp")),
        max_size=25,
    ),
    st.booleans(),
)
def test_the_snapshot_is_what_the_database_says(
    steps: list[tuple[float, int, str]], maximize: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Archive.create(Path(folder) / "a.db", {})
        live = Snapshot(maximize)
        scored(store, 0, 0.0)
        live.add(store.proposal(derive_id(1, 0)), 0.0)
        for number, (score, draw, fate) in enumerate(steps, start=1):
            made = replace(
                proposal(number), parents=(live.proposals[draw % len(live)].id,)
            )
            store.plan(made)
            live.expect(made.parents)
            if fate == "s":
                store.propose(made.id, f"{number:040x}", f"{number:040x}", "")
                done = replace(made, kept=AddStatus.KEPT, novelty=0.0, improvement=0.0)
                store.score(done, [Evaluation("m", "search", 0, score)])
                live.add(store.proposal(made.id), score)
            elif fate == "f":
                store.fail(made.id, "crash", "", "")
                live.fail(made)
            elif fate == "r":
                store.reject(made.id, "unchanged", "")
                live.release(made.parents)
        loaded = Snapshot.load(store, maximize)
        assert [p.id for p in loaded.proposals] == [p.id for p in live.proposals]
        assert np.array_equal(loaded.values, live.values)
        assert np.array_equal(loaded.children, live.children)
        for parent in loaded.proposals:
            assert loaded.failures_of(parent.id, 3) == live.failures_of(parent.id, 3)
        assert loaded.best() == live.best()
        best = live.best()
        assert best is not None and live.value_of(best.id) == live.values.max()
        store.close()


def test_quarantined_is_never_the_best() -> None:
    seen = Snapshot(True)
    seen.add(proposal(0), 1.0)
    seen.add(replace(proposal(1), quarantined=True), 9.0)
    best = seen.best()
    assert best is not None and best.number == 0
    assert [p.number for p in seen.top(5)] == [0]


def test_novelty_of_equal_and_other_texts() -> None:
    index = NoveltyIndex()
    text = {"a.py": b"def f(x):\n    return x + 1\n"}
    assert index.novelty(embed(text)) == 1.0
    index.append(embed(text))
    assert index.novelty(
        embed({"a.py": b"def f(x):  # said\n    return x + 1\n"})
    ) == pytest.approx(0)
    assert (
        index.novelty(embed({"a.py": b"while True: print('hello', file=out)\n"})) > 0.5
    )
    for k in range(100):
        index.append(embed({"a.py": f"v{k} = {k}".encode()}))
    assert 0 <= index.novelty(embed({"a.py": b"v3 = 3"})) < 1


def test_exported_names() -> None:
    assert all(hasattr(archive_package, name) for name in archive_package.__all__)
    assert len(archive_package.__all__) == len(set(archive_package.__all__))


def _open_files() -> list[str]:
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(descriptor))
    return found


def test_code_that_was_moved_says_so(tmp_path: Path) -> None:
    code = CodeStore.create(tmp_path / "code.git")
    tree = code.tree_of({"a.py": b"x = 1\n"})
    assert code.files(tree)
    code.path.rename(tmp_path / "elsewhere")
    # one that has read something, and a new one
    for store in (code, CodeStore(code.path)):
        with pytest.raises(ArchiveError, match="moved or deleted"):
            store.files(tree)
    code.close()


def test_maintenance_again_and_again_keeps_few_packs_and_no_descriptors(
    tmp_path: Path,
) -> None:
    CodeStore.create(tmp_path / "code.git")
    code = CodeStore.open_to_write(tmp_path / "code.git")
    trees, refs, descriptors = [], {}, []
    for number in range(60):
        stored = code.commit({"a.py": f"x = {number}\n".encode() * 20}, [], "a commit")
        trees.append(stored.tree)
        refs[f"v{number}"] = stored.commit
        if number % 5 == 4:
            code.tidy(refs)
            # maps every pack
            assert [code.files(tree)["a.py"][:4] for tree in trees[::7]]
            descriptors.append(len(os.listdir("/proc/self/fd")))
    packs = list((tmp_path / "code.git" / "objects" / "pack").glob("*.pack"))
    assert len(packs) <= 4
    assert max(descriptors) <= min(descriptors) + 2 * 4  # two for each pack
    code.close()
    assert not [name for name in _open_files() if name.startswith(str(tmp_path))]
    assert code.files(trees[0])["a.py"] == b"x = 0\n" * 20
