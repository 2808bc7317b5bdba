"""The repository of a run may come from a stranger: git runs nothing of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from evolve.archive import ArchiveError, CodeStore
from evolve.archive.git import CONFIG
from tests.cli import Result, evolve
from tests.security.strangers import make_foreign, on

HOOKS = (
    "reference-transaction",
    "post-checkout",
    "pre-auto-gc",
    "post-rewrite",
    "post-index-change",
)
SETTINGS = (
    "core.fsmonitor",
    "core.pager",
    "core.hooksPath",
    "diff.external",
    "gc.recentObjectsHook",
    "core.alternateRefsCommand",
)
READING: dict[str, Callable[[Path, Path], Result]] = {
    "tree": lambda run, _: on(run, "tree"),
    "show": lambda run, _: evolve("show", "best", "--run", run, cwd=run.parent.parent),
    "diff": lambda run, _: evolve("diff", "best", "--run", run, cwd=run.parent.parent),
    "ls": lambda run, _: evolve("ls", "--runs-dir", run.parent),
    "status": lambda run, _: on(run, "status"),
    "log": lambda run, _: on(run, "log"),
    "best": lambda run, place: on(run, "best", "-o", place / "out"),
    "export": lambda run, place: on(run, "export", "--git", place / "repository"),
}


def plant(run: Path, mark: Path) -> None:
    """Write hooks and settings that leave a mark when git runs them."""
    repository = run / "code.git"
    (repository / "hooks").mkdir(exist_ok=True)
    for name in HOOKS:
        hook = repository / "hooks" / name
        hook.write_text(f"#!/bin/sh\necho {name} >> {mark}\n")
        hook.chmod(0o755)
    for name in SETTINGS:
        value = f"sh -c 'echo {name} >> {mark}'"
        if name == "core.hooksPath":
            value = str(repository / "hooks")
        command = ["git", f"--git-dir={repository}", "config", name, value]
        subprocess.run(command, check=True)


def test_the_traps_work_for_git_itself(run: Path, tmp_path: Path) -> None:
    """Otherwise the tests below could not fail."""
    plant(run, tmp_path / "mark")
    repository = f"--git-dir={run / 'code.git'}"
    subprocess.run(
        ["git", repository, "update-ref", "refs/heads/x", "best"], check=True
    )
    assert "reference-transaction" in (tmp_path / "mark").read_text()


@pytest.mark.parametrize("verb", READING)
def test_reading_verbs_run_nothing(run: Path, tmp_path: Path, verb: str) -> None:
    plant(make_foreign(run), tmp_path / "mark")
    done = READING[verb](run, tmp_path)
    assert done.code == 0, done.err
    assert not (tmp_path / "mark").exists()


def test_a_resumed_run_runs_nothing(run: Path, tmp_path: Path) -> None:
    plant(run, tmp_path / "mark")
    more = ("--max-variants", "5", "--sandbox", "bubblewrap")
    refused = on(run, "resume", *more)
    assert refused.code == 3 and "--trust" in refused.err
    resumed = on(run, "resume", *more, "--trust")
    assert resumed.code == 0, resumed.err
    assert not (tmp_path / "mark").exists()
    assert (run / "code.git" / "config").read_text() == CONFIG
    assert list((run / "code.git" / "hooks").iterdir()) == []


def test_hooks_alone_do_not_run_in_a_run_of_one_s_own(
    run: Path, tmp_path: Path
) -> None:
    plant(run, tmp_path / "mark")
    (run / "code.git" / "config").write_text(CONFIG)
    assert on(run, "resume", "--max-variants", "5").code == 0
    assert not (tmp_path / "mark").exists()


def test_objects_of_other_repositories_are_not_read(run: Path, tmp_path: Path) -> None:
    other = CodeStore.create(tmp_path / "other.git")
    private = other.commit({"key": b"secret"}, [], "private")
    other.close()
    info = run / "code.git" / "objects" / "info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_text(f"{tmp_path / 'other.git' / 'objects'}\n")
    store = CodeStore.open(run / "code.git")
    with pytest.raises(ArchiveError, match="has no object"):
        store.files(private.tree)
    store.close()


@pytest.mark.parametrize("name", [b"..", b"a/b", b".", b""])
def test_a_tree_can_not_name_files_elsewhere(tmp_path: Path, name: bytes) -> None:
    store = CodeStore.create(tmp_path / "code.git")
    blob = store._store(b"blob", b"x")
    tree = store._store(b"tree", b"100644 " + name + b"\0" + blob)
    with pytest.raises(ArchiveError, match="which no variant can have"):
        store.files(tree.hex())
    store.close()


def test_the_environment_of_git_has_no_part_in_a_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, hooks = tmp_path / "mark", tmp_path / "hooks"
    plant(run, mark)
    shutil.copytree(run / "code.git" / "hooks", hooks)
    (run / "code.git" / "config").write_text(CONFIG)
    settings = tmp_path / "gitconfig"
    settings.write_text(f"[core]\n\thooksPath = {hooks}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert on(run, "resume", "--max-variants", "5").code == 0
    assert not mark.exists() and not (tmp_path / "elsewhere").exists()
