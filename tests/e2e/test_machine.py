"""What a machine lacks is named with its value, its place and the way out, and is never a score."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evolve.runs.waiting import never_silent
from tests.cli import evolve, evolve_process
from tests.e2e.test_disk import mount
from tests.ordinary_user import evolve_as_user, folder_of_user

LIMITS = (
    ("ulimit -n 128", "128 (ulimit -n)", "ulimit -n 1024"),
    ("ulimit -u 40", "40 (ulimit -u)", "ulimit -u "),
    ("ulimit -f 1000", "1000 (ulimit -f)", "ulimit -f unlimited"),
    ("ulimit -v 900000", "900000 (ulimit -v)", "ulimit -v unlimited"),
    ("ulimit -v 300000", "300000 KiB (ulimit -v)", "ulimit -v unlimited"),
    ("ulimit -d 300000", "300000 KiB (ulimit -d)", "ulimit -d unlimited"),
    ("ulimit -s 200", "200 (ulimit -s)", "ulimit -s 8192"),
    ("ulimit -t 60", "60 (ulimit -t)", "ulimit -t unlimited"),
)
LOCAL = ("--sandbox", "local", "--max-variants", "3", "--name", "r")


@pytest.fixture
def user() -> Iterator[Path]:
    if os.geteuid() == 0 and not os.environ.get("CI"):
        probe = ["unshare", "--mount", "true"]
        if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
            pytest.skip("no mount namespace can be made here")
    with folder_of_user() as folder:
        yield folder


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system with options of the test."""
    with mounted(tmp_path / "small", request.param) as folder:
        yield folder


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A new file system in memory that every user can write."""
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", f"mode=1777,{options}", "tmpfs", folder)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        assert not os.environ.get("CI"), "CI runs as root"
        pytest.skip(f"only root can mount: {error}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(("limit", "value", "way_out"), LIMITS)
def test_a_low_limit_is_named_at_the_start(
    user: Path, steps_task: Path, limit: str, value: str, way_out: str
) -> None:
    done = evolve_as_user(user, "run", steps_task, *LOCAL, before=limit)
    assert done.code == 3, done
    assert value in done.err and way_out in done.err, done.err
    assert "report it" not in done.err
    assert not (user / "runs" / "r").exists()


@pytest.mark.slow
def test_a_low_limit_at_resume_makes_no_variant(user: Path, steps_task: Path) -> None:
    """As an ordinary user; a soft limit alone is raised, and the run goes on."""
    assert evolve_as_user(user, "run", steps_task, *LOCAL).code == 0
    more = ("resume", "r", "--max-variants", "6")
    before = evolve_as_user(user, "tree", "r", "--json").json()
    for limit, value, way_out in LIMITS[:4]:
        refused = evolve_as_user(user, *more, before=limit)
        assert refused.code == 3, refused
        assert value in refused.err and way_out in refused.err, refused.err
    assert evolve_as_user(user, "tree", "r", "--json").json() == before
    done = evolve_as_user(user, *more, before="ulimit -Sn 100")
    assert done.code == 0, done.err
    assert len(evolve_as_user(user, "tree", "r", "--json").json()) == 7


def test_root_meets_its_limits_too(tmp_path: Path, steps_task: Path) -> None:
    command = f"ulimit -n 100; exec evolve run {steps_task} --sandbox bubblewrap"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3 and "ulimit -n 1024" in done.stderr, done.stderr


@pytest.mark.parametrize("home", ["somebody's", "/nonexistent", "", None])
def test_another_users_home_is_not_needed(
    user: Path, tmp_path: Path, steps_task: Path, home: str | None
) -> None:
    closed = tmp_path / "closed"
    (closed / ".config" / "evolve").mkdir(parents=True)
    closed.chmod(0o700)
    place = str(closed) if home == "somebody's" else home
    env = {} if place is None else {"HOME": place}
    before = "true" if place is not None else "unset HOME"
    done = evolve_as_user(user, "run", steps_task, *LOCAL, env=env, before=before)
    assert done.code == 0, done.err
    if os.geteuid() == 0 and home == "somebody's":
        assert f"{closed}/.config/evolve/config.toml can't be read" in done.err


@pytest.mark.docker
@pytest.mark.skipif(os.geteuid() != 0, reason="the user would need to be another one")
def test_docker_without_the_right_to_use_it(user: Path, steps_task: Path) -> None:
    done = evolve_as_user(user, "run", steps_task, "--sandbox", "docker")
    assert done.code == 3, done.err
    assert "may not use its socket /var/run/docker.sock" in done.err
    assert "usermod -aG" in done.err and "log in again" in done.err


@pytest.mark.parametrize("small_disk", ["size=4m"], indirect=True)
@pytest.mark.parametrize("sandbox", ["bubblewrap", "auto"])
def test_a_small_cache_is_named(
    small_disk: Path, steps_task: Path, tmp_path: Path, sandbox: str
) -> None:
    env = {
        "EVOLVE_CACHE_DIR": str(small_disk / "c"),
        "DOCKER_HOST": "unix:///nonexistent",
    }
    done = evolve("run", steps_task, "--sandbox", sandbox, cwd=tmp_path, env=env)
    assert done.code == 3 and len(done.err) < 1000, done.err[:2000]
    assert f"{small_disk}/c/rootfs can't be written: No space left" in done.err
    assert "EVOLVE_CACHE_DIR" in done.err and "report it" not in done.err


@pytest.mark.slow
@pytest.mark.parametrize("small_disk", ["size=300m,noexec"], indirect=True)
def test_a_noexec_cache_is_named(small_disk: Path, steps_task: Path) -> None:
    env = {"EVOLVE_CACHE_DIR": str(small_disk)}
    for command in (["run", steps_task], ["doctor"]):
        done = evolve(*command, "--sandbox", "bubblewrap", env=env)
        told = done.err + done.out
        assert done.code == 3 and "is mounted noexec" in told, told
        assert "set EVOLVE_CACHE_DIR" in told and "evolve doctor" not in told


@pytest.mark.slow
@pytest.mark.docker
@pytest.mark.parametrize("small_disk", ["size=8m"], indirect=True)
def test_docker_needs_no_room_in_tmpdir(
    small_disk: Path, steps_task: Path, tmp_path: Path
) -> None:
    """An image of its own, as its packages are others."""
    task = tmp_path / "t"
    subprocess.run(["cp", "-r", steps_task, task], check=True)
    with (task / "task.toml").open("a") as file:
        file.write('[environment]\ntools = ["sed", "ls"]\n')
    env = {"TMPDIR": str(small_disk), "EVOLVE_CACHE_DIR": str(tmp_path / "cache")}
    done = evolve_process("eval", task, "--sandbox", "docker", env=env)
    assert done.code == 0, done.err


@pytest.mark.slow
@pytest.mark.parametrize("mask", [0o027, 0o077])
def test_the_umask_does_not_matter(steps_task: Path, mask: int) -> None:
    options = ("--sandbox", "bubblewrap", "--max-variants", "2")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        place = Path(folder)
        place.chmod(0o755)  # pytest's own directories are closed
        env = {"EVOLVE_CACHE_DIR": str(place / "cache")}
        before = os.umask(mask)
        try:
            done = evolve("run", steps_task, *options, cwd=place, env=env)
        finally:
            os.umask(before)
        assert done.code == 0, done.err
        assert evolve("run", steps_task, *options, cwd=place, env=env).code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [("size=4m", "No space left"), ("size=300m,noexec", "is mounted noexec")],
)
def test_an_ordinary_user_is_told_of_the_cache(
    user: Path, steps_task: Path, options: str, said: str
) -> None:
    run = ("run", steps_task, "--sandbox", "bubblewrap", "--name", "r")
    with mounted(user / "small", options) as disk:
        done = evolve_as_user(user, *run, env={"EVOLVE_CACHE_DIR": str(disk)})
    assert done.code == 3 and said in done.err, done.err
    assert "EVOLVE_CACHE_DIR" in done.err and "report it" not in done.err


@pytest.mark.slow
def test_the_umask_of_an_ordinary_user_does_not_matter(
    user: Path, steps_task: Path
) -> None:
    run = ("run", steps_task, "--sandbox", "bubblewrap", "--max-variants", "2")
    env = {"EVOLVE_CACHE_DIR": str(user / "cache")}
    for mask in ("077", "022"):
        done = evolve_as_user(user, *run, before=f"umask {mask}", env=env)
        assert done.code == 0, done.err


@pytest.mark.slow
def test_a_daemon_that_never_answers(tmp_path: Path, steps_task: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "d.sock"))
        listening.listen(8)
        env = {"DOCKER_HOST": f"unix://{tmp_path}/d.sock"}
        began = time.monotonic()
        done = evolve("run", steps_task, "--sandbox", "docker", cwd=tmp_path, env=env)
        assert time.monotonic() - began < 15
    assert done.code == 3 and "does not answer within 10 s" in done.err
    assert "waiting for the Docker engine" in done.err


GIT_VARIABLES = {
    "GIT_DIR": "x/.git",
    "GIT_WORK_TREE": "/",
    "GIT_INDEX_FILE": "/nonexistent/index",
    "GIT_OBJECT_DIRECTORY": "/nonexistent",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/nonexistent",
    "GIT_DEFAULT_HASH": "sha256",
    "GIT_NAMESPACE": "x",
    "GIT_CONFIG_COUNT": "3",
    "GIT_CONFIG_PARAMETERS": "'a",
    "GIT_EXEC_PATH": "/nonexistent",
    "GIT_TEMPLATE_DIR": "/nonexistent",
    "GIT_PYTHON_GIT_EXECUTABLE": "/nonexistent",
}


def test_git_settings_of_a_user_have_no_part(tmp_path: Path, steps_task: Path) -> None:
    (tmp_path / ".gitconfig").write_text("[broken")
    env = {**GIT_VARIABLES, "HOME": str(tmp_path)}
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"):
        env[name] = ""
    done = evolve_process("run", steps_task, *LOCAL, cwd=tmp_path, env=env)
    assert done.code == 0, done.err
    git = ["git", f"--git-dir={tmp_path}/runs/r/code.git", "fsck", "--strict"]
    checked = subprocess.run(git, capture_output=True, text=True, check=True)
    assert "error" not in checked.stderr


def test_big_data_files_are_stored_once(tmp_path: Path, steps_task: Path) -> None:
    task, runs = tmp_path / "t", tmp_path / "runs"
    subprocess.run(["cp", "-r", steps_task, task], check=True)
    (task / "data.bin").write_bytes(bytes(9 << 20))
    for name in ("a", "b"):
        options = ("--sandbox", "local", "--max-variants", "1", "--name", name)
        assert evolve("run", task, *options, cwd=tmp_path).code == 0
    a, b = ((runs / name / "task" / "data.bin").stat() for name in ("a", "b"))
    assert a.st_ino == b.st_ino != (task / "data.bin").stat().st_ino
    (task / "data.bin").write_bytes(b"another")
    assert evolve("verify", "a", cwd=tmp_path).code == 0
    (runs / "a" / "task" / "data.bin").unlink()
    os.mkfifo(runs / "a" / "task" / "data.bin")  # who reads it waits for ever
    assert evolve("tree", "a", cwd=tmp_path).code == 0
    for name in ("a", "b"):
        assert evolve("rm", name, "--yes", cwd=tmp_path).code == 0
    assert list((runs / ".data").iterdir()) == []


def test_a_start_is_never_silent() -> None:
    said: list[tuple[float, str]] = []

    async def slow() -> None:
        began = time.monotonic()
        note = lambda line: said.append((time.monotonic() - began, line))  # noqa: E731
        async with never_silent(note) as say:
            say("sandbox: compiling")
            await asyncio.sleep(3.5)

    asyncio.run(slow())
    times = [0.0, *(at for at, _ in said), 3.5]
    assert max(b - a for a, b in itertools.pairwise(times)) < 2.0, said
    assert said[1][1].startswith("sandbox: compiling (")


def test_a_long_seed_counts_its_cases(tmp_path: Path) -> None:
    task = tmp_path / "t"
    (task / "initial").mkdir(parents=True)
    (task / "initial" / "p.py").write_text("def f():\n    return 1\n")
    cases = "".join(f'[[cases]]\nid = "c{number}"\n' for number in range(4))
    (task / "task.toml").write_text(
        f'name = "t"\ndescription = "d"\nentry = "p.py"\n{cases}'
    )
    (task / "evaluate.py").write_text(
        "import time\ndef evaluate(candidate, case):\n    time.sleep(0.6)\n    return 1.0\n"
    )
    options = ("--sandbox", "local", "--max-variants", "1")
    done = evolve("run", task, *options, cwd=tmp_path)
    assert re.search(r"scoring the seed: [1-3] of 4 cases \(", done.err), done.err


@pytest.mark.docker
def test_all_that_was_made_is_listed_and_removed(tmp_path: Path) -> None:
    """An image without a tag, and an entry of the cache; other caches stay."""
    import docker

    from evolve.sandbox.image import IMAGE_LABEL

    client = docker.from_env()
    changes = [f"LABEL {IMAGE_LABEL}=1"]
    tar = tmp_path / "empty.tar"
    subprocess.run(["tar", "-cf", tar, "-T", "/dev/null"], check=True)
    client.api.import_image(str(tar), changes=changes)
    (found,) = (
        each
        for each in client.images.list(filters={"label": IMAGE_LABEL, "dangling": True})
        if each.attrs["Size"] == 0
    )
    env = {"EVOLVE_CACHE_DIR": str(tmp_path / "cache")}
    (tmp_path / "cache" / "rootfs" / "abc").mkdir(parents=True)
    (tmp_path / "cache" / "rootfs" / "abc" / "file").write_bytes(bytes(2_000_000))
    listed = evolve("sandbox", "ls", "--json", env=env).json()
    names = {made["name"]: made for made in listed}
    assert names[str(tmp_path / "cache/rootfs/abc")]["size_bytes"] == 2_000_000
    assert found.short_id in names
    removed = evolve("sandbox", "prune", "--cache", env=env)
    assert removed.code == 0 and "1 entries of the cache removed" in removed.out
    assert not list((tmp_path / "cache" / "rootfs").iterdir())
    found.collection.remove(found.id)
    client.close()
