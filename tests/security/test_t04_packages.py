"""Packages are names of the index: no path, option or address reaches pip."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.errors import TaskError
from evolve.sandbox.errors import PackagesUnavailable
from evolve.sandbox.pip import fetch_sources, install_packages
from evolve.sandbox.provider import ImageBuild
from evolve.tasks import load_task
from tests.cli import evolve
from tests.security.strangers import write_task

KEYS = ("packages", "scorer_packages", "scorer_sources")
NOT_NAMES = (
    "/tmp/evil",
    "./evil",
    "evil.whl",
    "evil-1.tar.gz",
    "../evil/setup.py",
    "--no-build-isolation",
    "--index-url=http://127.0.0.1:9",
    "-r/etc/passwd",
    "evil @ file:///tmp/evil",
    "evil @ git+ssh://host/evil",
    "https://127.0.0.1:9/evil.tar.gz",
)
SETUP = """import pathlib
pathlib.Path({mark!r}).write_text("ran")
from setuptools import setup
setup(name="evil", version="1", py_modules=[])
"""

LOOKS = (
    "import os; seen = sorted(os.listdir('/context')); "
    "assert seen == ['Dockerfile', 'named'], seen; "
    "assert ('eth0' in os.listdir('/sys/class/net')) == {network}"
)


@pytest.mark.parametrize("key", KEYS)
def test_setup_py_of_a_path_does_not_run(tmp_path: Path, key: str) -> None:
    mark, source = tmp_path / "PWNED", tmp_path / "evil"
    source.mkdir()
    (source / "setup.py").write_text(SETUP.format(mark=str(mark)))
    task = write_task(tmp_path / "task", f'[environment]\n{key} = ["{source}"]')
    done = evolve("eval", task, "--sandbox", "bubblewrap")
    assert done.code == 2 and f"environment.{key}.0: invalid package" in done.err
    assert not mark.exists()


@pytest.mark.parametrize("text", NOT_NAMES)
@pytest.mark.parametrize("key", KEYS)
def test_only_names_are_packages(tmp_path: Path, key: str, text: str) -> None:
    task = write_task(tmp_path / "task", f'[environment]\n{key} = ["{text}"]')
    with pytest.raises(TaskError, match="invalid package"):
        load_task(task)


@pytest.mark.parametrize("toml", ['tools = ["/bin/sh"]', 'preload = ["os; evil()"]'])
def test_tools_and_modules_are_names(tmp_path: Path, toml: str) -> None:
    with pytest.raises(TaskError, match="invalid"):
        load_task(write_task(tmp_path / "task", f"[environment]\n{toml}"))


def test_requirements_of_a_peer_are_names_too(tmp_path: Path) -> None:
    (tmp_path / "initial_program.py").write_text("def f():\n    return 1\n")
    (tmp_path / "evaluator.py").write_text("def evaluate(path):\n    return {}\n")
    (tmp_path / "requirements.txt").write_text(
        "numpy>=1.26\nevil @ file:///tmp/evil\n./here\n--index-url=http://127.0.0.1:9\n"
    )
    task = load_task(tmp_path)
    assert task.spec.environment.packages == ("numpy>=1.26",)
    assert sum("only packages are installed" in line for line in task.warnings) == 3


def test_code_of_a_source_distribution_sees_no_file_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip asks the build back end of a source for its metadata: here it looks around."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "id_rsa").write_text("secret")
    index = _index_of_one_source(tmp_path, home / "id_rsa")
    monkeypatch.setenv("PIP_INDEX_URL", index.as_uri())
    monkeypatch.setenv("OPENAI_API_KEY", "sk-victim")
    target = tmp_path / "got"
    fetch_sources(["evil==1"], target)
    seen = (target / "seen").read_text()
    assert seen == "secret: False, key: None"
    assert (target / "evil-1.tar.gz").is_file()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can read, as the sandbox drops root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.slow
def test_a_package_built_from_source_is_built_in_a_box(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "id_rsa"
    secret.write_text("secret")
    monkeypatch.setenv("PIP_INDEX_URL", _index_of_one_source(tmp_path, secret).as_uri())
    monkeypatch.setenv("OPENAI_API_KEY", "sk-victim")
    monkeypatch.setenv("EVOLVE_CACHE_DIR", str(open_folder))
    program = "import evil\n\ndef answer():\n    print(evil.seen)\n    return 1.0\n"
    toml = '[environment]\npackages = ["evil==1"]\n'
    wheels_only = write_task(tmp_path / "wheels", toml, program)
    refused = evolve("eval", wheels_only, "--sandbox", "bubblewrap")
    assert refused.code == 3 and "packages of the task can't be" in refused.err
    task = write_task(tmp_path / "task", toml + 'builds = ["evil"]', program)
    asks = evolve("eval", task, "--sandbox", "bubblewrap")
    assert asks.code == 3 and "build evil from source" in asks.err
    assert evolve("trust", task).code == 0
    done = evolve("eval", task, "--sandbox", "bubblewrap")
    assert done.code == 0, done.err
    assert "secret: False, key: None" in done.out


def test_a_package_is_not_built_for_the_python_of_an_image(tmp_path: Path) -> None:
    with pytest.raises(PackagesUnavailable, match="can't be built") as refused:
        install_packages(["evil"], tmp_path, ("--python-version", "3.9"), ("evil",))
    assert "Dockerfile" in refused.value.hint


@pytest.mark.parametrize("text", ["evil==1", "evil[all]", "./evil", "--pre"])
def test_only_names_are_built(tmp_path: Path, text: str) -> None:
    task = write_task(tmp_path / "task", f'[environment]\nbuilds = ["{text}"]')
    with pytest.raises(TaskError, match="invalid package"):
        load_task(task)


def _index_of_one_source(place: Path, secret: Path) -> Path:
    """Write a package index with one source distribution that reports what it sees."""
    import tarfile

    source = place / "evil-1"
    source.mkdir()
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text(
        "import glob, os, pathlib\n"
        "def prepare_metadata_for_build_wheel(folder, config_settings=None):\n"
        f"    seen = 'secret: %s, key: %s' % (os.path.exists({str(secret)!r}), "
        "os.environ.get('OPENAI_API_KEY'))\n"
        f"    got = pathlib.Path({str(place / 'got')!r})\n"
        "    got.is_dir() and (got / 'seen').write_text(seen)\n"
        "    info = pathlib.Path(folder, 'evil-1.dist-info')\n"
        "    info.mkdir()\n"
        "    (info / 'METADATA').write_text("
        "'Metadata-Version: 2.1\\nName: evil\\nVersion: 1\\n')\n"
        "    return info.name\n"
        "def build_wheel(folder, *_):\n"
        f"    seen = 'secret: %s, key: %s' % (os.path.exists({str(secret)!r}), "
        "os.environ.get('OPENAI_API_KEY'))\n"
        "    import zipfile\n"
        "    name = 'evil-1-py3-none-any.whl'\n"
        "    info = 'evil-1.dist-info/'\n"
        "    with zipfile.ZipFile(os.path.join(folder, name), 'w') as wheel:\n"
        "        wheel.writestr('evil.py', 'seen = %r' % seen)\n"
        "        wheel.writestr(info + 'METADATA', "
        "'Metadata-Version: 2.1\\nName: evil\\nVersion: 1\\n')\n"
        "        wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\n"
        "Root-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "        wheel.writestr(info + 'RECORD', '')\n"
        "    return name\n"
    )
    page = place / "index" / "evil"
    page.mkdir(parents=True)
    with tarfile.open(page / "evil-1.tar.gz", "w:gz") as archive:
        archive.add(source, "evil-1")
    (page / "index.html").write_text('<a href="evil-1.tar.gz">evil-1.tar.gz</a>')
    return place / "index"


@pytest.mark.docker
@pytest.mark.parametrize("network", [False, True])
def test_a_dockerfile_sees_named_files_and_no_network(
    tmp_path: Path, base_image: str, network: bool
) -> None:
    import docker

    from evolve.sandbox import SandboxUnavailable
    from evolve.sandbox.image import derived_image

    (tmp_path / ".env").write_text("KEY=secret")
    (tmp_path / "named").write_text("yes")
    (tmp_path / "Dockerfile").write_text(
        f"FROM {base_image}\nCOPY . /context\n"
        f'RUN ["python3", "-c", "{LOOKS.format(network=network)}"]\n'
    )
    build = ImageBuild(tmp_path / "Dockerfile", ("named",), network)
    client = docker.from_env()
    try:
        assert derived_image(client, build, (), lambda _: None).python
        other = ImageBuild(tmp_path / "Dockerfile", (), network)
        with pytest.raises(SandboxUnavailable, match="can't be built") as refused:
            derived_image(client, other, (), lambda _: None)
        assert "environment.image_files" in refused.value.hint
    finally:
        client.close()


def test_a_build_with_the_network_needs_trust(tmp_path: Path) -> None:
    toml = '[environment]\nimage = "Dockerfile"\nimage_network = true'
    task = write_task(tmp_path / "task", toml)
    (task / "Dockerfile").write_text("FROM scratch\n")
    done = evolve("eval", task, "--sandbox", "docker")
    assert done.code == 3 and "environment.image_network" in done.err
