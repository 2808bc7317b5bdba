"""The files of a repository that a task needs, and the packages that they import."""

import ast
import configparser
import email
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from evolve.errors import UsageError
from evolve.export.git import ask_git
from evolve.repository.target import Target
from evolve.tasks.files import of_tools

MOST_BYTES = 6 << 20  # of the program, and of the files that its tests need
_ONE_FILE_BYTES = 2 << 20
_SECRET = (
    ".env*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_*",
    ".netrc",
    ".pypirc",
    ".npmrc",
    "*credential*",
    "*secret*.*",
    "*.kdbx",
)
_TEST_FOLDERS = ("tests", "test", "testing")
_LEFT_OUT = ("docs", "doc", "build", "dist", "node_modules", ".github")
_SETTINGS = ("pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini", "conftest.py")
_EXTRAS = ("test", "tests", "testing", "dev", "develop")
_OTHER_NAMES = {  # of packages whose modules have another name
    "yaml": "PyYAML",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "dateutil": "python-dateutil",
    "bs4": "beautifulsoup4",
    "attr": "attrs",
}


@dataclass(frozen=True)
class Project:
    """The part of a repository that a task uses.

    Attributes:
        program: Files that are imported, by path from the import root.
        tests: Tests and the files that they may read, by path from the repository.
        packages: Requirements of the program.
        extras: Requirements that it names for its tests and development.
        left_out: Files that look like secrets, or are too large, with the reason.
    """

    program: Mapping[str, bytes]
    tests: Mapping[str, bytes]
    packages: tuple[str, ...]
    extras: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=())


def read_project(target: Target) -> Project:
    """Read the files and requirements of a repository.

    Args:
        target: The functions to optimize.

    Returns:
        The project. Secrets, caches and documentation are left out.

    Raises:
        UsageError: The program is too large for a task.
    """
    program: dict[str, bytes] = {}
    tests: dict[str, bytes] = {}
    left_out: list[str] = []
    size = 0
    for path in _listed(target.root):
        file = target.root / path
        if any(PurePosixPath(path).match(pattern) for pattern in _SECRET):
            left_out.append(f"{path} (may be secret)")
            continue
        inner = _of_program(file, target.source)
        if inner is None and PurePosixPath(path).parts[0] in _LEFT_OUT:
            continue
        if file.stat().st_size > _ONE_FILE_BYTES:
            left_out.append(f"{path} (large)")
            continue
        if inner is not None:
            program[inner] = file.read_bytes()
        elif size + file.stat().st_size <= MOST_BYTES:
            tests[path] = file.read_bytes()
            size += len(tests[path])
        else:
            left_out.append(f"{path} (large)")
    if sum(map(len, program.values())) > MOST_BYTES:
        raise UsageError(
            f"the packages in {target.source} have more than {MOST_BYTES >> 20} MiB",
            "write the task by hand: evolve init NAME",
        )
    metadata = _metadata(target.root)
    program |= _installed(metadata)
    needed = _pinned(_usable(metadata.needed), target.root)
    extras = tuple(map(str, _usable(metadata.extras)))
    return Project(program, tests, needed, extras, tuple(left_out))


def _listed(root: Path) -> list[str]:
    """Return the files of a repository: those that git knows or would add, or all."""
    if (root / ".git").exists():
        listed = ask_git(root, "ls-files", "-z", "-co", "--exclude-standard")
        paths = [path for path in listed.split("\0") if path]
    else:
        paths = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    kept = []
    for path in sorted(set(paths)):
        usual = not any(map(of_tools, path.split("/")))
        file = root / path
        if (usual or file.name.startswith(".env")) and not file.is_symlink():
            kept += [path] * file.is_file()
    return kept


def _of_program(file: Path, source: Path) -> str | None:
    """Return the path of a file that is imported; None for tests and other files."""
    if not file.is_relative_to(source):
        return None
    inner = file.relative_to(source)
    if any(part in _TEST_FOLDERS for part in inner.parts[:-1]):
        return None
    if len(inner.parts) == 1:
        alone = inner.suffix == ".py" and inner.name not in ("setup.py", "conftest.py")
        return str(inner) if alone and not _is_test(inner.name) else None
    top = source / inner.parts[0]
    packaged = (top / "__init__.py").is_file() or source.name == "src"
    return inner.as_posix() if packaged and not _is_test(inner.name) else None


def _is_test(name: str) -> bool:
    return (
        name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py"
    )


@dataclass(frozen=True)
class _Metadata:
    """Name, version and requirements of a project, as far as they are known."""

    name: str = ""
    version: str = "0"
    needed: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


def _metadata(root: Path) -> _Metadata:
    """Read the metadata of a source distribution, or the project's own files."""
    if (root / "PKG-INFO").is_file():
        return _of_distribution((root / "PKG-INFO").read_text(errors="replace"))
    table = _toml(root / "pyproject.toml")
    project = table.get("project", {})
    if "name" in project:
        groups = project.get("optional-dependencies", {}) | table.get(
            "dependency-groups", {}
        )
        extras = [line for name in _EXTRAS for line in groups.get(name, ())]
        return _Metadata(
            str(project["name"]),
            str(project.get("version", "0")),
            tuple(map(str, project.get("dependencies", ()))),
            tuple(line for line in extras if isinstance(line, str)),
        )
    return _of_setup(root)


def _of_distribution(text: str) -> _Metadata:
    """Read core metadata (PyPA specification)."""
    found = email.message_from_string(text)
    lines = [str(line) for line in found.get_all("Requires-Dist", [])]
    return _Metadata(
        str(found.get("Name", "")),
        str(found.get("Version", "0")),
        tuple(line for line in lines if "extra ==" not in line),
        tuple(line.partition(";")[0] for line in lines if "extra ==" in line),
    )


def _of_setup(root: Path) -> _Metadata:
    """Read setup.cfg and requirements.txt."""
    setup = configparser.ConfigParser(interpolation=None)
    if (root / "setup.cfg").is_file():
        setup.read_string((root / "setup.cfg").read_text(errors="replace"))
    lines = setup.get("options", "install_requires", fallback="").splitlines()
    listed = root / "requirements.txt"
    if listed.is_file():
        lines += listed.read_text(errors="replace").splitlines()
    return _Metadata(
        setup.get("metadata", "name", fallback=""),
        "0",
        tuple(line.strip() for line in lines if line.strip()),
    )


def _toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}", "fix the TOML at that line") from None


def _installed(metadata: _Metadata) -> dict[str, bytes]:
    """Return the file that makes `importlib.metadata` know the project."""
    if not metadata.name:
        return {}
    folder = f"{metadata.name.replace('-', '_')}-{metadata.version}.dist-info"
    text = (
        f"Metadata-Version: 2.1\nName: {metadata.name}\nVersion: {metadata.version}\n"
    )
    return {f"{folder}/METADATA": text.encode()}


def _usable(lines: Iterable[str]) -> Iterator[Requirement]:
    """Yield the requirements that hold here and come from the package index."""
    for line in lines:
        try:
            found = Requirement(line.partition(" #")[0].strip())
        except InvalidRequirement:  # an option of pip, or a comment
            continue
        if found.url is None and (found.marker is None or found.marker.evaluate()):
            found.marker = None
            yield found


def _pinned(wanted: Iterable[Requirement], root: Path) -> tuple[str, ...]:
    """Return requirements with the versions of a lock file, where there is one."""
    locked = {}
    for name in ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"):
        table = _toml(root / name)
        for entry in (*table.get("package", ()), *table.get("packages", ())):
            locked[canonicalize_name(str(entry.get("name")))] = entry.get("version")
    return tuple(
        f"{one.name}=={version}"
        if (version := locked.get(canonicalize_name(one.name)))
        else str(one)
        for one in wanted
    )


def packages_of_tests(project: Project, paths: Iterable[str]) -> tuple[str, ...]:
    """Return the packages that tests import and the program does not name.

    Args:
        project: The project.
        paths: The tests; their conftest.py files count, too.

    Returns:
        Requirements: of the project's extras, else guessed from the module's name.
    """
    own = {path.split("/")[0].removesuffix(".py") for path in project.program}
    own |= {PurePosixPath(path).stem for path in project.tests}
    own |= {part for path in project.tests for part in path.split("/")[:-1]}
    there = [Requirement(line).name for line in project.packages]
    known = {canonicalize_name(name) for name in (*there, "pytest", "setuptools")}
    extras = {
        canonicalize_name(Requirement(line).name): line for line in project.extras
    }
    found: dict[str, str] = {}
    for path in _with_conftests(project, paths):
        for module in sorted(_imported(project.tests[path]) - own):
            package = _OTHER_NAMES.get(module, module)
            name = canonicalize_name(package)
            if name not in known:
                found[name] = extras.get(name, package)
    return tuple(found.values())


def _with_conftests(project: Project, paths: Iterable[str]) -> list[str]:
    chosen = set(paths)
    for path in tuple(chosen):
        chosen |= {f"{folder}/conftest.py" for folder in PurePosixPath(path).parents}
    chosen |= {"conftest.py"}
    return sorted(path for path in project.tests if path in chosen)


def _imported(content: bytes) -> set[str]:
    """Return the top-level modules that a file imports, without the standard library."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return set()
    names = set()
    for node in tree.body:  # imports under a condition are optional
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names
