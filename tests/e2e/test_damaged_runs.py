"""Archives survive: whole in one file after a clean end, and a damaged one is one damaged run."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from evolve import open_run
from evolve.archive import ArchiveError
from evolve.view.web.library import RunCache
from tests.cli import EVOLVE, evolve
from tests.crash.test_kill import assert_stores_clean
from tests.ordinary_user import evolve_as_user, folder_of_user

OPTIONS = ("--sandbox", "local", "--max-variants", "3")
READING = (
    ["tree"],
    ["status"],
    ["show", "best"],
    ["best"],
    ["diff"],
    ["stats"],
    ["log"],
    ["plot"],
    ["ls"],
)


def rows(database: Path) -> int:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as opened:
        return int(opened.execute("SELECT count(*) FROM proposals").fetchone()[0])


def listing(run: Path) -> dict[str, float]:
    return {str(p.relative_to(run)): p.stat().st_mtime_ns for p in run.rglob("*")}


def test_after_a_clean_end_one_file_is_whole(tmp_path: Path, steps_task: Path) -> None:
    for command in (
        ("run", steps_task, *OPTIONS, "--name", "r"),
        ("resume", "r", "--max-variants", "5"),
    ):
        done = evolve(*command, cwd=tmp_path)
        assert done.code == 0, done.err
        run = tmp_path / "runs" / "r"
        assert sorted(path.name for path in run.glob("archive.db*")) == ["archive.db"]
        copy = shutil.copy(run / "archive.db", tmp_path / "copy.db")
        assert rows(Path(copy)) == len(evolve("tree", "--json", cwd=tmp_path).json())


def test_reading_verbs_leave_nothing_behind(tmp_path: Path, steps_task: Path) -> None:
    """Also in a run that another program left with the header of a write-ahead log."""
    evolve("run", steps_task, *OPTIONS, "--name", "r", cwd=tmp_path)
    run = tmp_path / "runs" / "r"
    for log in (False, True):
        if log:
            with closing(sqlite3.connect(run / "archive.db")) as opened:
                opened.execute("PRAGMA journal_mode=WAL")
        before = listing(run)
        for verb in READING:
            done = evolve(*verb, cwd=tmp_path)
            assert done.code == 0, done.err
        with open_run("r", tmp_path / "runs") as opened_run:
            assert len(opened_run.variants) == 4
        assert listing(run) == before


def test_a_killed_run_is_made_whole_by_its_owner(
    tmp_path: Path, steps_task: Path
) -> None:
    command = [EVOLVE, "run", str(steps_task), "--sandbox", "local", "--name", "r"]
    with subprocess.Popen(
        [*command, "--json"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(4):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    database = tmp_path / "runs" / "r" / "archive.db"
    told = evolve("status", "r", cwd=tmp_path)
    assert "killed" in told.out and "the whole folder" in told.out, told.out
    variants = len(evolve("tree", "--json", cwd=tmp_path).json())
    time.sleep(0.2)  # its sandbox ends a moment later
    assert evolve("upgrade", "r", cwd=tmp_path).code == 0
    assert sorted(p.name for p in database.parent.glob("archive.db*")) == ["archive.db"]
    assert rows(database) >= variants
    assert "the whole folder" not in evolve("status", "r", cwd=tmp_path).out
    assert evolve("resume", "r", "--max-variants", "8", cwd=tmp_path).code == 0
    assert_stores_clean(database.parent)


def cut(run: Path) -> None:
    os.truncate(run / "archive.db", (run / "archive.db").stat().st_size // 2)


def no_header(run: Path) -> None:
    with (run / "archive.db").open("r+b") as file:
        file.write(b"no database, no header")


def no_bytes(run: Path) -> None:
    (run / "archive.db").write_bytes(b"")


def no_database(run: Path) -> None:
    (run / "archive.db").unlink()


def no_code(run: Path) -> None:
    shutil.rmtree(run / "code.git")


def bad_settings(run: Path) -> None:
    (run / "run.toml").write_bytes(b"\xff\xfe")


def bad_values(run: Path) -> None:
    with closing(sqlite3.connect(run / "archive.db")) as opened, opened:
        opened.execute("UPDATE proposals SET state = 'nothing', decision = '{'")


@pytest.mark.parametrize(
    "damage",
    [cut, no_header, no_bytes, no_database, no_code, bad_settings, bad_values],
)
def test_a_damaged_run_is_one_damaged_run(
    tmp_path: Path, steps_task: Path, damage: object
) -> None:
    assert callable(damage)
    runs = tmp_path / "runs"
    evolve("run", steps_task, *OPTIONS, "--name", "good", cwd=tmp_path)
    shutil.copytree(runs / "good", runs / "bad")
    damage(runs / "bad")
    listed = {row["run"]: row for row in evolve("ls", "--json", cwd=tmp_path).json()}
    assert listed["good"]["scored"] == 3 and "damaged" in listed["bad"], listed
    assert "damaged:" in evolve("ls", cwd=tmp_path).out
    for verb in ("status", "tree"):
        told = evolve(verb, "bad", cwd=tmp_path)
        assert told.code in (1, 2) and told.err.count("error:") == 1, told.err
        assert "unexpected" not in told.err and "sqlalche.me" not in told.err
    assert evolve("status", "good", cwd=tmp_path).code == 0
    library = RunCache(runs)
    served = {row["run"]: row["error"] for row in library.rows()}
    library.close()
    assert served["good"] is None and served["bad"], served
    if damage in (cut, no_header):
        assert "evolve rescue" in evolve("status", "bad", cwd=tmp_path).err
        with pytest.raises(ArchiveError, match="damaged"):
            open_run("bad", runs)


@pytest.mark.parametrize("name", ["br[1]", "a b", "ümläut", "50%", "a#b?c", "it's"])
def test_names_of_any_kind_work_and_can_be_pasted(
    tmp_path: Path, steps_task: Path, name: str
) -> None:
    folder = tmp_path / name
    options = (*OPTIONS, "--runs-dir", folder, "--name", name)
    done = evolve("run", steps_task, *options, cwd=tmp_path)
    assert done.code == 0, done.err
    (pasted,) = (line for line in done.err.splitlines() if line.startswith("look:"))
    words = shlex.split(pasted.partition("·")[0])
    assert words == ["look:", "evolve", "tree", name]
    for verb in (["resume", name, "--max-variants", "5"], ["verify", name], ["ls"]):
        again = evolve(*verb, "--runs-dir", folder)
        assert again.code == 0, (verb, again.err)
    assert evolve("diff", "--run", name, "--runs-dir", folder).code == 0


@pytest.mark.parametrize(
    "name", ["a\nb", "a\tb", "a\x1b[31m", "x" * 101, "", "-x", "a/b"]
)
def test_names_that_break_a_line_are_refused(
    tmp_path: Path, steps_task: Path, name: str
) -> None:
    done = evolve("run", steps_task, *OPTIONS, f"--name={name}", cwd=tmp_path)
    assert done.code == 2 and "invalid run name" in done.err, done.err
    assert "at most 100" in done.err and "\x1b" not in done.err


@pytest.mark.slow
def test_a_run_of_another_user_is_listed_as_unreadable(steps_task: Path) -> None:
    with folder_of_user() as user:
        made = evolve_as_user(user, "run", steps_task, *OPTIONS, "--name", "own")
        assert made.code == 0, made.err
        other = user / "runs" / "other"
        shutil.copytree(user / "runs" / "own", other)
        other.chmod(0o700 if os.geteuid() == 0 else 0)  # copied by root
        try:
            listed = evolve_as_user(user, "ls", "--json").json()
            for verb in (["status"], ["tree"], ["status", "own"], ["stats", "own"]):
                done = evolve_as_user(user, *verb)
                assert done.code == 0, (verb, done.err)
            refused = evolve_as_user(user, "tree", "other")
        finally:
            other.chmod(0o700)
        rows = {row["run"]: row for row in listed}
        assert rows["own"]["scored"] == 3
        assert "Permission denied" in rows["other"]["damaged"]
        assert refused.code == 2 and "belongs to another user" in refused.err
