"""No text of a candidate or a model controls a terminal, a log or a page."""

from __future__ import annotations

import random
import re
import urllib.request
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.evaluation.printed import mask_controls
from evolve.text import visible
from tests.cli import evolve
from tests.serving import serving

_EACH = [chr(c) for c in (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))]
_EACH += list("\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff")


def evil(seed: int) -> str:
    """Every control character once, in any order, among words that look like ours."""
    draw = random.Random(seed)
    signs = draw.sample(_EACH, len(_EACH))
    words = ["score 999", "[2J", "]0;owned", "best", "[31m", "error:"]
    return "".join(f"{sign}{draw.choice(words)}" for sign in signs)


_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
PROGRAM = """# EVOLVE-BLOCK-START
SCALE = 1.5
# EVOLVE-BLOCK-END
EVIL = {evil!r}
Broken = type(EVIL.replace(chr(0), ""), (Exception,), {{}})


def number():
    print(EVIL)
    if SCALE > 1.9:
        raise Broken(EVIL)
    return {{"number": SCALE, "words": EVIL}}
"""
EVALUATE = """def evaluate(candidate, case):
    found = candidate.call("number")
    print(found["words"])
    return {
        "score": found["number"],
        "feedback": found["words"],
        "metrics": {"said": found["words"], found["words"][:60]: 1.0},
    }
"""
TOML = """name = "evil"
description = "A large number."
entry = "program.py"
[[cases]]
id = "one"
[[cases]]
id = "two"
split = "heldout"
"""


@pytest.fixture(params=[1, 2], ids="seed {}".format)
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A task with programs whose every text is hostile."""
    text = evil(request.param)
    program = PROGRAM.format(evil=text)
    (tmp_path / "task/initial").mkdir(parents=True)
    (tmp_path / "task/initial/program.py").write_text(program)
    (tmp_path / "task/evaluate.py").write_text(EVALUATE)
    (tmp_path / "task/task.toml").write_text(TOML)
    (tmp_path / "broken.py").write_text(program.replace("1.5", "2.5"))
    raw = text.replace("\r", "").replace("\x00", "").replace("\x0c", "")
    (tmp_path / "mine.py").write_text(program.replace("1.5", "1.75") + f"# {raw}\n")
    (tmp_path / "note").write_text(text.replace("\x00", ""))
    return tmp_path


def clean(text: str, about: object) -> None:
    found = _CONTROL.search(text)
    assert found is None, (about, text[max(0, found.start() - 80) : found.end() + 20])


@pytest.mark.slow
def test_every_verb_that_prints(folder: Path) -> None:
    runs = ("--runs-dir", folder / "runs")
    box, note = ("--sandbox", "bubblewrap"), (folder / "note").read_bytes().decode()
    run = ("run", folder / "task", "--name", "r", *runs, *box, "--max-variants", 12)
    for command in (
        run,
        ("eval", folder / "task", *box),
        ("eval", folder / "task", folder / "broken.py", *box),
        ("check", folder / "task", *box),
        ("doctor", folder / "task", *box),
        ("add", "r", folder / "mine.py", "--note", note, *runs),
        ("add", "r", folder / "broken.py", "--parent", "seed", *runs),
        ("resume", "r", *runs, "--max-variants", 16),
        ("tree", "r", *runs),
        ("ls", *runs),
        ("status", "r", *runs),
        ("stats", "r", *runs),
        ("log", "r", "--all", *runs),
        ("show", "best", "--run", "r", *runs),
        ("show", "seed", "--run", "r", *runs),
        ("diff", "seed", "best", "--run", "r", *runs),
        ("best", "r", *runs),
        ("verify", "r", *runs, *box),
        ("compare", "r", *runs),
        ("audit", "r", *runs),
        ("plot", "r", *runs),
        ("ban", "best", "--run", "r", "--why", note, *runs),
        ("replay", "r", "--name", "again", *runs, *box),
        ("export", "r", "--csv", folder / "rows.csv", *runs),
        ("export", "r", "--html", folder / "page.html", *runs),
    ):
        done = evolve(*command, cwd=folder)
        assert "Traceback" not in done.err and "unexpected" not in done.err, done.err
        clean(done.out + done.err, command)
    for path in ("rows.csv", "page.html", "runs/r/logs/scorer.log"):
        clean((folder / path).read_text(), path)
    failed = [
        row
        for row in evolve("tree", "r", "--json", *runs).json()
        if row["score"] is None
    ]
    assert failed, "a candidate raised"
    for row in failed:
        clean(evolve("show", row["id"], "--run", "r", *runs).out, "show")
    with serving(folder / "runs") as address:
        for page in ("", "run/r", "run/r/cases", f"run/r/variant/{failed[0]['id']}"):
            with urllib.request.urlopen(address + page) as reply:
                clean(reply.read().decode(), page)
    assert evolve("checkout", "seed", folder / "seed", "--run", "r", *runs).code == 0
    assert (folder / "seed/program.py").read_bytes() == (
        folder / "task/initial/program.py"
    ).read_bytes(), "files are unchanged"


@given(st.text())
def test_what_is_shown_has_no_control_character(text: str) -> None:
    clean(visible(text), text)


@given(
    st.lists(
        st.text(alphabet=st.sampled_from("a\n\x1b\x9b\u202e\u2066\ufeffé␛")), max_size=6
    )
)
def test_a_log_is_masked_in_place(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    log = tmp_path_factory.mktemp("log") / "scorer.log"
    safe, whole = 0, b""
    for part in parts:  # as it grows, cut anywhere
        data = part.encode()
        for piece in (data[: len(data) // 2], data[len(data) // 2 :]):
            with log.open("ab") as file:
                file.write(piece)
            whole += piece
            safe = mask_controls(log, safe)
    if parts:
        shown = "".join(parts)
        expected = _CONTROL.sub(lambda sign: "?" * len(sign[0].encode()), shown)
        assert log.read_bytes() == expected.encode(), "in place, byte for byte"
