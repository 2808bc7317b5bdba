"""What all tests share: a Docker engine that must be there in CI, and a place for runs."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.cli import ScriptedServer

ROOT = Path(__file__).parents[1]
# no test depends on a machine's speed
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


# What a person's shell may say, and no test may depend on.
FROM_OUTSIDE = (
    "COLUMNS",
    "LINES",
    "NO_COLOR",
    "FORCE_COLOR",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
    "PAGER",
    "LESS",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "PYTHONIOENCODING",
    "PYTHONPATH",
    "PYTHONWARNINGS",
    "TYPER_STANDARD_TRACEBACK",
)
SHELL = {
    "TERM": "dumb",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
SIGNALS = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGQUIT: signal.SIG_DFL,
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Called by xdist where there are several workers."""
    from tests.scheduling import FilesThatShare

    return FilesThatShare(config, log)


@pytest.fixture(scope="session", autouse=True)
def _a_plain_shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Settings of a plain shell, whoever started the tests: a background job ignores Ctrl-C."""
    handlers = {
        number: signal.signal(number, handler) for number, handler in SIGNALS.items()
    }
    mask = os.umask(0o022)
    with pytest.MonkeyPatch.context() as patch:
        for name in FROM_OUTSIDE:
            patch.delenv(name, raising=False)
        for name, value in SHELL.items():
            patch.setenv(name, value)
        # one user signs the runs of all tests
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield
    os.umask(mask)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _docker_answers() -> bool:
    try:
        return (
            subprocess.run(
                ["docker", "info"], capture_output=True, check=False
            ).returncode
            == 0
        )
    except FileNotFoundError:
        return False


@pytest.fixture(scope="session")
def docker_engine() -> None:
    """A running engine: a missing one fails in CI and skips at home."""
    if not _docker_answers():
        if os.environ.get("CI"):
            pytest.fail("Docker must run in CI")
        pytest.skip("no Docker engine runs here")


@pytest.fixture(autouse=True)
def _docker_for_marked(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("docker"):
        request.getfixturevalue("docker_engine")


def _process() -> dict[str, str]:
    """What a test could leave to those after it in the same process."""
    return {
        **os.environ,
        "the working directory": os.getcwd(),
        "PYTEST_CURRENT_TEST": "",
    }


@pytest.fixture(autouse=True)
def _leaves_nothing_behind() -> Iterator[None]:
    before = _process()
    yield
    after = _process()
    changed = [name for name in before | after if before.get(name) != after.get(name)]
    assert changed == [], "a test changed the process of those after it"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(
    _leaves_nothing_behind: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for name in [
        n for n in os.environ if n.startswith("EVOLVE_") and n != "EVOLVE_CACHE_DIR"
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))


@pytest.fixture(autouse=True)
def _quickest_sandbox(
    _no_settings_from_outside: None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without --sandbox a run takes the one that starts at once; a test of isolation names another."""
    if not request.node.get_closest_marker("docker"):
        monkeypatch.setenv("EVOLVE_SANDBOX", "local")


@pytest.fixture
def own_sandbox(_quickest_sandbox: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what `evolve` takes when nobody names a sandbox."""
    monkeypatch.delenv("EVOLVE_SANDBOX", raising=False)


@pytest.fixture
def tasks() -> Path:
    """The tasks that ship."""
    return ROOT / "tasks"


@pytest.fixture
def steps_task() -> Path:
    """A tiny task: one number to raise, a candidate that takes 50 ms."""
    return ROOT / "tests" / "tasks" / "steps"


@pytest.fixture
def noisy_task() -> Path:
    """The same number, measured with noise that belongs to the attempt."""
    return ROOT / "tests" / "tasks" / "noisy"


@pytest.fixture
def scripted() -> Iterator[Callable[..., ScriptedServer]]:
    """Start scripted model servers; they end with the test."""
    servers: list[ScriptedServer] = []

    def start(*options: str | float) -> ScriptedServer:
        servers.append(ScriptedServer(*options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def base_image() -> Iterator[str]:
    """An image as a user might have one: a Python in it, and nothing of ours outside /evolve."""
    import docker

    from evolve.sandbox.rootfs import build_rootfs, write_tar

    # a test beside this one has its own
    client, tag = docker.from_env(), uuid.uuid4().hex
    with tempfile.TemporaryFile() as tar:
        write_tar(build_rootfs((), lambda _: None), tar)
        tar.seek(0)
        client.api.import_image_from_stream(
            iter(lambda: tar.read(1 << 20), b""),
            repository="evolve-test-base",
            tag=tag,
            changes=["ENV PATH=/usr/bin"],
        )
    yield f"evolve-test-base:{tag}"
    client.images.remove(f"evolve-test-base:{tag}", force=True)
    client.close()
