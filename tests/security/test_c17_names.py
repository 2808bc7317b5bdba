"""Names of files in replies and workspaces: what git or another file system takes for something else.

`main.py/b.py` beside `main.py` was stored as a tree with duplicate entries, which `git fsck` refuses.
"""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from evolve.archive import ArchiveError, CodeStore, Proposal, State
from evolve.operators import Child, Parent, Rejected
from evolve.operators.checks import check_child
from evolve.operators.edits import apply_reply
from evolve.sandbox import CandidateFault, Limits
from evolve.sandbox.session import check_tree
from evolve.tasks import Editable, Task, load_task

SEED = {
    "main.py": b"x = 1\n",
    "lib/a.py": b"y = 1\n",
    "lib/straße.txt": b"",
    "lib/é.txt": b"",
}
PATTERNS = ("main.py", "lib/*.py", "*.py", "*/*.py", "*/*/*.py", "*", "*/*")
CONFLICTS = ("main.py/b.py", "lib/a.py/c.py", "lib/a.py/d/e.py", "lib")
GIT = (
    *(
        ".git/hooks/x.py",
        ".GIT/x.py",
        "lib/.git/config.py",
        "git~1/x.py",
        "lib/GIT~2",
        ".git./x.py",
    ),
    *(".git /x.py", ".gi\u200ct/x.py", ".git:x/y.py", ".git::$INDEX_ALLOCATION/x.py"),
)
ODD = (
    *(
        "../evil.py",
        "/etc/evil.py",
        "lib/../../x.py",
        "lib//x.py",
        "./x.py",
        "lib/.",
        "x/",
        "",
    ),
    *(
        "a\nb.py",
        "a\0b.py",
        "lib/\u202egpj.py",
        "a\x1b[2J.py",
        "\ud800.py",
        "a" * 300 + ".py",
    ),
)
HIDDEN = (
    ".gitattributes",
    ".gitmodules",
    ".gitmodules.py",
    "lib/.gitignore",
    "-rf.py",
    "lib/-r.py",
)
CASES = ("lib/A.py", "LIB/a.py", "Main.py", "lib/STRASSE.txt", "lib/e\u0301.txt")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """A task whose patterns admit nearly everything."""
    folder = tmp_path_factory.mktemp("task")
    for path, data in SEED.items():
        (folder / "initial" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "initial" / path).write_bytes(data)
    shown = ", ".join(f'"{pattern}"' for pattern in PATTERNS)
    (folder / "task.toml").write_text(
        f'name = "names"\ndescription = "text"\nentry = "main.py"\neditable = [{shown}]\n'
    )
    (folder / "evaluate.py").write_text(
        "def evaluate(candidate, case):\n    return 1\n"
    )
    return load_task(folder)


def checked(path: str, task: Task) -> str:
    """The reason for which a child with a new file is rejected; empty if it is not."""
    proposal = Proposal("1" * 16, 1, State.SCORED, "seed", (), 0, 0.0)
    child = Child({**SEED, "main.py": b"x = 2\n", path: b"z = 3\n"}, "")
    try:
        asyncio.run(check_child(task, [Parent(proposal, SEED, 1.0)], child))
    except Rejected as why:
        return why.reason
    return ""


@pytest.mark.parametrize("path", [*CONFLICTS, *GIT, *ODD, *HIDDEN, *CASES])
def test_no_child_has_such_a_file(path: str, task: Task) -> None:
    assert checked(path, task) == "region"


@pytest.mark.parametrize("path", ["lib/b.py", "b/c.py", "a-b.py", "a.b.c.py", "+x.py"])
def test_a_child_may_have_a_plain_file(path: str, task: Task) -> None:
    assert checked(path, task) == ""


@pytest.mark.parametrize("path", [*CONFLICTS, *GIT, *ODD])
def test_the_code_store_refuses_it(path: str, tmp_path: Path) -> None:
    store = CodeStore.create(tmp_path / "code.git")
    with pytest.raises(ArchiveError, match=r"file name|a file and a folder"):
        store.commit({**SEED, path: b"z"}, [], "x")
    commit = store.commit({**SEED, "lib/b.py": b"z"}, [], "x")
    assert store.files(commit.tree) == {**SEED, "lib/b.py": b"z"}
    done = subprocess.run(
        ["git", f"--git-dir={tmp_path}/code.git", "fsck", "--strict", commit.commit],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "error" not in done.stderr and "warning" not in done.stderr


@pytest.mark.parametrize("path", [*CONFLICTS, *ODD])
def test_no_sandbox_gets_it(path: str) -> None:
    with pytest.raises(CandidateFault, match="invalid file name"):
        check_tree({**SEED, path: b"z"}, Limits())
    check_tree({**SEED, "lib/b.py": b"z", "main": b"", "main.pyc": b""}, Limits())


@pytest.mark.parametrize("name", [b".git", b".GIT", b"git~1", b"..", b"a\nb", b"a/b"])
def test_a_tree_of_somebody_else_with_it_is_not_read(
    name: bytes, tmp_path: Path
) -> None:
    store = CodeStore.create(tmp_path / "code.git")
    blob = store._store(b"blob", b"x")
    tree = store._store(b"tree", b"100644 " + name + b"\0" + blob)
    with pytest.raises(ArchiveError, match="no variant can have"):
        store.files(tree.hex())


@pytest.mark.parametrize("path", [*CONFLICTS[:3], *GIT, *HIDDEN])
@pytest.mark.parametrize("whole", [True, False])
def test_a_reply_that_names_it_changes_nothing_there(path: str, whole: bool) -> None:
    """It is ignored or refused; a conflict is left to the check of the child."""
    reply = f"{path}\n```python\nz = 3\n```\n\nmain.py\n```python\nx = 2\n```\n"
    try:
        files = apply_reply(reply, SEED, Editable(PATTERNS[:5]), whole=whole)
    except Rejected:
        return
    assert path not in files or path in CONFLICTS


def test_large_trees_are_checked_quickly() -> None:
    deep = {
        "/".join("ab"[k % 2] for k in range(500)) + f"/{n}": b"" for n in range(2000)
    }
    check_tree(deep, Limits())
