"""The scorer's end of a candidate's module, against answers that no honest process gives."""

from __future__ import annotations

import enum
import functools
import subprocess
import sys
import threading
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import pytest

from evolve.evaluation import scorer
from evolve.peers.answers import Answers as Saying
from evolve.peers.answers import may_name
from evolve.peers.formats import evaluate, shown
from evolve.peers.guards import Watch
from evolve.peers.link import CandidateGone, Inseparable, Link, Notes
from evolve.peers.proxies import RemoteFunction


@dataclass
class Thing:
    weight: int


Thing.__module__ = "evaluate"  # as a class of the evaluator's own file


class Answers:
    """A candidate's process that says what it likes."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    def call(self, function: str, *args: Any) -> Any:
        self.asked.append((function, args))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _scorers_own_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scorer", scorer)


def link_to(tmp_path: Path, *answers: Any) -> Link:
    return Link(Answers(*answers), Notes(tmp_path), tmp_path, (), -1)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "ok",
        ["ok"],
        ["back"],
        ["ok", 1, 2],
        ["ok", ["r", 0, 10**9, 1]],
        ["ok", ["nope"]],
        ["ok", ["h", 1]],
        ["ok", ["x", 12345]],
        ["ok", ["f", "nan"]],
        ["ok", ["o", "os", "system"]],
        ["ok", ["e", "enum", "Enum", "x"]],
        ["ok", ["k", 1]],
        ["raised"],
        ["back", ["nope"]],
        [7, 8],
    ],
)
def test_an_answer_that_is_none_is_a_fault_that_stays(
    tmp_path: Path, answer: Any
) -> None:
    link = link_to(tmp_path, answer, ["ok", 1])
    with pytest.raises(CandidateGone):
        link.ask("attribute", 0, "f")
    assert link.notes.read("fault")["reason"] == "refused"
    with pytest.raises(CandidateGone):
        link.ask("attribute", 0, "g")


def raised(kind: Any, *args: Any, **fields: Any) -> list[Any]:
    return [
        "raised",
        "Name",
        "text",
        "tb",
        ["B", kind, [*args], [*fields.items()], None],
    ]


def test_what_the_candidate_raises_is_raised_here(tmp_path: Path) -> None:
    mine = ["U", 7, "Mine", "program", ["T", "ValueError"]]
    link = link_to(
        tmp_path,
        raised(["T", "IndexError"], "too far", 3),
        raised(mine, "x"),
        raised(["U", 8, "CandidateError", "evolve.candidate", ["T", "Exception"]], "x"),
    )
    with pytest.raises(IndexError) as caught:
        link.ask("call", 0, [], {})
    assert caught.value.args == ("too far", 3)
    with pytest.raises(ValueError, match=r"^x$") as mine_caught:
        link.ask("call", 0, [], {})
    assert type(mine_caught.value).__name__ == "Mine"
    with pytest.raises(Exception, match=r"^x$") as engines:
        link.ask("call", 0, [], {})
    assert not isinstance(engines.value, scorer.CandidateError)
    assert link.notes.read("fault") is None


@pytest.mark.parametrize(
    "answer",
    [
        raised(["T", "SystemExit"], 0),
        raised(["T", "KeyboardInterrupt"]),
        raised(["T", "int"], 0),
        raised(["U", 7, "Mine", "program"], 0),
        raised(["U", 7, "Mine", "program", ["T", "int"]], 0),
        raised(["T", "UnicodeDecodeError"], 0),
        ["raised", "IndexError", "too far", "tb"],
        ["raised", "IndexError", "too far", "tb", None],
    ],
)
def test_no_other_exception_can_be_raised_here(answer: Any, tmp_path: Path) -> None:
    link = link_to(tmp_path, answer)
    with pytest.raises(CandidateGone):
        link.ask("call", 0, [], {})
    assert link.notes.read("fault")["reason"] == "refused"


def test_a_dead_process_stays_dead(tmp_path: Path) -> None:
    link = link_to(tmp_path, scorer.CandidateError("crash", "killed", "log"))
    for _ in range(2):
        with pytest.raises(CandidateGone):
            link.ask("call", 0, [], {})
    assert link.notes.read("fault") == {
        "reason": "crash",
        "message": "killed",
        "log": "log",
    }


def test_an_own_object_comes_back_as_itself(tmp_path: Path) -> None:
    thing = Thing(3)
    link = link_to(tmp_path, ["ok", ["l", ["x", id(thing)]]])
    assert link.ask("call", 0, [thing], {})[0] is thing


class Move(enum.Enum):
    UP = 1


class Bin:
    """A class of a file that both sides have."""

    limit = 3
    items: list[int]

    def fits(self) -> bool:
        return sum(self.items) <= self.limit

    @functools.cached_property
    def load(self) -> int:
        return sum(self.items)


def both_know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any) -> Link:
    world: Any = types.ModuleType("world")
    world.Move, world.Bin, world.Popen = Move, Bin, subprocess.Popen
    monkeypatch.setattr(Bin, "__module__", "world")
    monkeypatch.setattr(Move, "__module__", "world")
    monkeypatch.setitem(sys.modules, "world", world)
    return Link(Answers(answer), Notes(tmp_path), tmp_path, ("world",), -1)


def test_a_record_brings_data_and_computes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = both_know(
        tmp_path,
        monkeypatch,
        [
            "ok",
            ["o", "world", "Bin", ["items", ["l", 1, 2]], ["limit", 9], ["load", 0]],
        ],
    )
    found = link.ask("call", 0, [], {})
    assert (
        type(found) is Bin
        and found.items == [1, 2]
        and found.limit == 9
        and found.load == 3
    )


@pytest.mark.parametrize(
    "answer",
    [
        [
            "o",
            "world",
            "Bin",
            ["fits", ["h", 1, True, "yes", "function", [], "program"]],
        ],
        ["o", "world", "Bin", ["__class__", 1]],
        ["o", "world", "Bin", ["__dict__", ["d"]]],
        ["o", "world", "Move", ["_value_", 99], ["_name_", "UP"]],
        ["e", "world", "Move", "DOWN"],
        ["e", "world", "Bin", "x"],
        ["o", "world", "Popen", ["pid", 1]],
        ["o", "world", "Bin.fits"],
    ],
)
def test_no_record_replaces_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    link = both_know(tmp_path, monkeypatch, ["ok", answer])
    with pytest.raises(CandidateGone):
        link.ask("call", 0, [], {})
    assert link.notes.read("fault")["reason"] == "refused"


def test_what_was_seen_stays_also_after_another_call(tmp_path: Path) -> None:
    link = link_to(
        tmp_path,
        ["ok", ["h", 4, False, "Radii", "builtins", [], "program"]],
        ["ok", ["t", "list", ["l", 1, 2, 3]]],
        ["ok", None],
        ["ok", 5],
        ["ok", None],
    )
    radii = link.ask("call", 0, [], {})
    assert (
        list(radii) == [1, 2, 3]
        and radii[1] == 2
        and radii[1:] == [2, 3]
        and len(radii) == 3
    )
    assert radii.sum() == 6 and numpy.sum(radii) == 6 and radii.shape == (3,)
    assert link.ask("call", 0, [], {}) == 5
    with pytest.raises(Inseparable, match="changed between two looks"):
        list(radii)


def test_what_is_no_list_is_indexed_or_iterated(tmp_path: Path) -> None:
    link = link_to(
        tmp_path,
        ["ok", ["h", 4, False, "Radii", "builtins", [], "program"]],
        ["ok", None],
        ["ok", 0.5],
    )
    radii = link.ask("call", 0, [], {})
    assert radii[0] == 0.5
    with pytest.raises(Inseparable, match="indexed"):
        iter(radii)


@pytest.mark.parametrize(
    ("module", "name", "allowed"),
    [
        ("numpy", "dtype", True),
        ("builtins", "set", True),
        ("builtins", "ValueError", True),
        ("world", "Bin", True),
        ("builtins", "eval", False),
        ("os", "system", False),
        ("world", "Bin.fits", False),
        ("world", "Popen", False),
        ("builtins", "SystemExit", False),
    ],
)
def test_what_a_pickle_may_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    name: str,
    allowed: bool,
) -> None:
    both_know(tmp_path, monkeypatch, None)
    assert may_name(module, name, frozenset({"world"})) is allowed


def test_words_of_the_candidate_are_known(tmp_path: Path) -> None:
    said = Saying(tmp_path)
    assert (
        not said.any() and not said.share_words("sin(x)") and not said.are_in("x" * 99)
    )
    said.note("open('/etc/passwd')")
    assert Saying(tmp_path).share_words("f(open)") and said.are_in(
        "print(open('/etc/passwd'))"
    )
    assert (
        not said.share_words("1 + 2")
        and not said.share_words("opens")
        and not said.are_in("open")
    )
    said.note(b"a" * (1 << 20))
    assert said.share_words("1 + 2"), "too much to look through"


def test_callbacks_reach_public_names_of_plain_objects_only(tmp_path: Path) -> None:
    thing = Thing(3)
    double = link_to(tmp_path, ["ok", None]).pack
    assert double(2) == 2
    link = link_to(
        tmp_path,
        *[
            ["back", ["l", "attribute", number, name]]
            for number, name in (
                (id(thing), "weight"),
                (id(thing), "__class__"),
                (id(len), "x"),
            )
        ],
        ["ok", 1],
    )
    assert link.ask("call", 0, [thing], {}) == 1
    sent = [args[0] for function, args in link.candidate.asked if function == "resume"]
    assert sent[0] == ["ok", 3]
    kinds = [(kind, tree[2]) for kind, tree in sent[1:]]
    assert kinds == [("raised", ["T", "AttributeError"]), ("raised", ["T", "KeyError"])]


def test_objects_of_libraries_can_not_be_copied(tmp_path: Path) -> None:
    link = link_to(
        tmp_path, ["ok", ["h", 1, False, "Graph", "networkx.classes", [], "program"]]
    )
    with pytest.raises(Inseparable):
        link.ask("call", 0, [threading.Lock()], {})
    with pytest.raises(Inseparable):
        link.ask("call", 0, [], {})
    assert "_thread" in link.notes.read("inseparable")["message"]


def test_functions_are_handles_that_call(tmp_path: Path) -> None:
    link = link_to(
        tmp_path, ["ok", ["h", 5, True, "solve", "program", [], "program"]], ["ok", 42]
    )
    solve = link.ask("attribute", 0, "solve")
    assert (
        isinstance(solve, RemoteFunction)
        and callable(solve)
        and solve.__name__ == "solve"
    )
    assert solve(1, k=2) == 42
    with pytest.raises(AttributeError):
        solve.__wrapped__  # noqa: B018 - the attribute is what is tried


def test_the_candidates_text_is_known_when_it_is_seen(tmp_path: Path) -> None:
    program = tmp_path / "p.py"
    text = "import numpy as np\n" + "".join(
        f"value_{k} = compute({k})\n" for k in range(8)
    )
    program.write_text(text)
    watch = Watch(program, "import numpy as np\n", tmp_path)
    copy = tmp_path / "copy.py"
    copy.write_text(text)
    assert watch.is_candidate(program) and watch.is_candidate(copy)
    assert not watch.is_candidate(tmp_path) and not watch.is_candidate("x" * 5000)
    assert watch.holds_candidate(text.replace("value_1 =", "other ="))
    assert not watch.holds_candidate("import numpy as np\n" * 30 + "unrelated = True\n")


def test_what_the_task_itself_may_execute(tmp_path: Path) -> None:
    program, folder = tmp_path / "scratch" / "program" / "p.py", tmp_path / "task"
    program.parent.mkdir(parents=True)
    folder.mkdir()
    program.write_text("x = 1\n")
    (folder / "evaluator.py").write_text("VALUE = eval('1 + 1')\n")
    (folder / "broken.py").write_text("def (")
    watch = Watch(program, "", folder)
    assert {"1 + 1", "VALUE = eval('1 + 1')\n", "def ("} <= watch.own_texts
    assert watch.is_tasks(str(folder / "evaluator.py")) and watch.is_tasks("<string>")
    assert not watch.is_tasks(numpy.__file__)


@pytest.mark.parametrize(
    ("files", "score", "told"),
    [
        (
            {
                "metrics.json": '{"combined_score": 2}',
                "correct.json": '{"correct": true}',
            },
            2.0,
            None,
        ),
        (
            {"metrics.json": '{"combined_score": 2}', "correct.json": '{"correct": 1}'},
            None,
            "None",
        ),
        ({"metrics.json": '{"combined_score": 2}'}, None, "no correct.json"),
        (
            {
                "metrics.json": '{"combined_score": NaN}',
                "correct.json": '{"correct": true}',
            },
            None,
            "finite",
        ),
        (
            {
                "metrics.json": '{"combined_score": true}',
                "correct.json": '{"correct": true}',
            },
            None,
            "bool",
        ),
    ],
)
def test_what_an_evaluator_leaves(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    score: float | None,
    told: str | None,
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    lines = [
        f"Path(sys.argv[4], {name!r}).write_text({text!r})"
        for name, text in files.items()
    ]
    (tmp_path / "evaluate.py").write_text(
        "import sys\nfrom pathlib import Path\n" + "\n".join(lines) + "\nsys.exit(3)\n"
    )
    config = {"format": "shinka", "evaluator": str(tmp_path / "evaluate.py")}
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        said = evaluate(config, "p.py", str(tmp_path))
    assert said["score"] == score
    assert told is None or told in said["error"]


def test_only_what_can_be_stored_is_shown() -> None:
    assert shown({"a": 1, "b": float("nan"), "c": [1], "d": "x", "e": True}) == {
        "a": 1,
        "d": "x",
        "e": True,
    }
