"""The common representation of another engine's task, whatever its format."""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolve.errors import TaskError
from evolve.tasks.peers.packages import packages_of, preloaded
from evolve.tasks.peers.tools import tools_of
from evolve.tasks.spec import EnvironmentSpec, LimitsSpec, PeerFormat, TaskSpec

LANGUAGES = {
    ".py": "python",
    ".c": "c",
    ".cpp": "cpp",
    ".cc": "cpp",
    ".rs": "rust",
    ".go": "go",
    ".f90": "fortran",
    ".jl": "julia",
    ".r": "r",
    ".R": "r",
    ".js": "javascript",
    ".java": "java",
    ".sv": "verilog",
    ".wl": "wolfram",
    ".txt": "text",
}
_COMPILERS = {
    "c": ("gcc",),
    "cpp": ("g++",),
    "rust": ("rustc", "cargo"),
    "go": ("go",),
    "fortran": ("gfortran",),
    "julia": ("julia",),
    "r": ("Rscript",),
    "javascript": ("node",),
    "java": ("java", "javac"),
}
_MEMORY_MB, _DISK_MB, _GRACE_S, _MAX_DATA = 2048, 256, 30.0, 8 << 20
_LARGE_MEMORY_MB = 8192  # the other engines set no limit, and jax keeps compiled code
_LARGE = ("jax", "torch", "tensorflow")


@dataclass(frozen=True)
class Peer:
    """An evaluator of another engine. Paths are relative to the task's folder.

    Attributes:
        format: the engine
        evaluator: path of the evaluator
        program: name of the evolved file in a variant's tree
        program_path: path of the seed program
        shared: modules next to the program that both program and evaluator import
        thresholds: one per stage of a cascade; None without a cascade
        fitness_key: the metric that is the score; None for the format's default
    """

    format: PeerFormat
    evaluator: str
    program: str
    program_path: str
    shared: tuple[str, ...] = ()
    thresholds: tuple[float, ...] | None = None
    fitness_key: str | None = None


@dataclass(frozen=True)
class PeerTask:
    """A translated task of another engine.

    Attributes:
        spec: the task in this engine's terms
        seed: path -> content
        peer: how to run the evaluator
        warnings: settings without effect in this engine
    """

    spec: TaskSpec
    seed: Mapping[str, bytes]
    peer: Peer
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Config:
    """Settings read from a peer's configuration.

    Attributes:
        text: task text for the model; None if there is none
        timeout_s: limit for one evaluation, in seconds
        run: defaults for the settings of a run
        warnings: settings that were not translated
    """

    text: str | None = None
    timeout_s: float = 300.0
    run: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()


def build(
    folder: Path, program: Path, evaluator: Path, config: Config, peer: dict[str, Any]
) -> PeerTask:
    """Translate a foreign task into this engine's representation.

    Args:
        folder: the task directory
        program: the program to evolve
        evaluator: the evaluator's file
        config: settings read from the peer's configuration
        peer: values for `Peer` that depend on the format

    Returns:
        The task; limits, packages and tools follow from the files.

    Raises:
        TaskError: the program is not UTF-8 text
    """
    text = _text(program)
    language = LANGUAGES.get(program.suffix, program.suffix.lstrip(".") or "text")
    beside = _companions(program, text) if language == "python" else {}
    packages = packages_of(
        folder, (evaluator, program, *_paths(program.parent, beside))
    )
    stages = 3 if peer.get("thresholds") is not None else 1
    spec = TaskSpec(
        name=_name(folder),
        language=language,
        entry=program.name,
        editable=(program.name,),
        description=config.text
        or f"Improve {program.name}, so that its score becomes higher.",
        limits=LimitsSpec(
            time_s=config.timeout_s,
            memory_mb=_memory_mb(text),
            disk_mb=_DISK_MB,
            evaluation_s=stages * config.timeout_s + _GRACE_S,
        ),
        environment=EnvironmentSpec(
            packages=packages.wanted,
            scorer_packages=packages.wanted,
            tools=_tools(language, evaluator.read_text(errors="replace")),
            preload=preloaded(text, packages.wanted),
        ),
        run=dict(config.run or {}),
    )
    shared = tuple(sorted(Path(name).stem for name in beside if name.endswith(".py")))
    return PeerTask(
        spec,
        {program.name: program.read_bytes()} | beside,
        Peer(
            evaluator=evaluator.relative_to(folder).as_posix(),
            program=program.name,
            program_path=program.relative_to(folder).as_posix(),
            shared=shared,
            **peer,
        ),
        (*config.warnings, *packages.warnings),
    )


def _tools(language: str, evaluator: str) -> tuple[str, ...]:
    compilers = _COMPILERS.get(language, ())
    return (*compilers, *(t for t in tools_of(evaluator) if t not in compilers))


def _memory_mb(text: str) -> int:
    imported = "|".join(_LARGE)
    large = re.search(rf"^[ \t]*(import|from)[ \t]+({imported})\b", text, re.MULTILINE)
    return _LARGE_MEMORY_MB if large else _MEMORY_MB


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        raise TaskError(f"{path} is not UTF-8 text") from None


def _name(folder: Path) -> str:
    """Return the folder's name, prefixed with its parent's if it is a number.

    Example: heilbronn_convex/13 becomes heilbronn_convex_13.
    """
    name = folder.resolve().name
    return f"{folder.resolve().parent.name}_{name}" if name.isdigit() else name


def _paths(folder: Path, names: Iterable[str]) -> list[Path]:
    return [folder / name for name in names if name.endswith(".py")]


def _companions(program: Path, text: str) -> dict[str, bytes]:
    """Return the files next to the program that it needs.

    These are modules that it imports, directly or indirectly, and data files that it
    names.
    """
    found: dict[str, bytes] = {}
    waiting = [text]
    while waiting:
        modules, texts = _names_in(waiting.pop())
        for name in [f"{module}.py" for module in modules] + sorted(texts):
            path = program.parent / name
            if name in found or path == program or not _is_plain(path):
                continue
            found[name] = path.read_bytes()
            if name.endswith(".py"):
                waiting.append(found[name].decode(errors="replace"))
    return found


def _is_plain(path: Path) -> bool:
    try:
        return (
            path.is_file()
            and not path.is_symlink()
            and path.stat().st_size <= _MAX_DATA
        )
    except OSError:  # a string too long for a file name
        return False


def _names_in(text: str) -> tuple[set[str], set[str]]:
    """Return modules that a text imports, and its strings that could be file names."""
    try:
        tree = ast.parse(text.removeprefix("\ufeff"))
    except SyntaxError:
        return set(), set()
    modules: set[str] = set()
    strings: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            value = node.value
            if (
                "." in value
                and "/" not in value
                and "\n" not in value
                and len(value) < 100
            ):
                strings.add(value)
    return modules, strings
