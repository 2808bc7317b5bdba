"""What a task of another engine becomes, whatever its format."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evolve.errors import TaskError
from evolve.tasks.peers.packages import packages_of, preloaded
from evolve.tasks.spec import EnvironmentSpec, LimitsSpec, TaskSpec

LANGUAGES = {".py": "python", ".c": "c", ".cpp": "cpp", ".cc": "cpp", ".rs": "rust", ".go": "go",
             ".f90": "fortran", ".jl": "julia", ".r": "r", ".R": "r", ".js": "javascript",
             ".java": "java", ".sv": "verilog", ".wl": "wolfram", ".txt": "text"}
_COMPILERS = {"c": ("gcc",), "cpp": ("g++",), "rust": ("rustc", "cargo"), "go": ("go",),
              "fortran": ("gfortran",), "julia": ("julia",), "r": ("Rscript",),
              "javascript": ("node",), "java": ("java", "javac")}
_MEMORY_MB, _DISK_MB, _GRACE_S, _MAX_DATA = 2048, 256, 30.0, 8 << 20
_LARGE_MEMORY_MB = 8192  # its own engine sets no limit, and what jax compiles stays
_LARGE = ("jax", "torch", "tensorflow")


@dataclass(frozen=True)
class Peer:
    """How an evaluator of another engine is run; paths are relative to the task's folder."""

    format: Literal["shinka", "openevolve", "codeevolve"]
    evaluator: str
    program: str  # the evolved file's name in a variant's tree
    program_path: str  # where the seed's lies
    shared: tuple[str, ...] = ()  # modules beside the program that both sides have
    # of a cascade's stages; None: no cascade
    thresholds: tuple[float, ...] | None = None
    fitness_key: str | None = None


@dataclass(frozen=True)
class PeerTask:
    """A task as the engine knows it, and what of its configuration has no effect here."""

    spec: TaskSpec
    seed: Mapping[str, bytes]
    peer: Peer
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Config:
    """What a peer's configuration gives."""

    text: str | None = None
    timeout_s: float = 300.0
    run: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()


def build(folder: Path, program: Path, evaluator: Path, config: Config, peer: dict[str, Any]
          ) -> PeerTask:
    """The task of a program, its evaluator and what its configuration says."""
    text = _text(program)
    language = LANGUAGES.get(program.suffix, program.suffix.lstrip(".") or "text")
    beside = _companions(program, text) if language == "python" else {}
    packages = packages_of(folder, (evaluator, program, *_paths(program.parent, beside)))
    stages = 3 if peer.get("thresholds") is not None else 1
    spec = TaskSpec(
        name=_name(folder), language=language, entry=program.name, editable=(program.name,),
        description=config.text or f"Improve {program.name}, so that its score becomes higher.",
        limits=LimitsSpec(time_s=config.timeout_s, memory_mb=_memory_mb(text), disk_mb=_DISK_MB,
                          evaluation_s=stages * config.timeout_s + _GRACE_S),
        environment=EnvironmentSpec(
            packages=packages.wanted, scorer_packages=packages.wanted,
            tools=_COMPILERS.get(language, ()), preload=preloaded(text, packages.wanted)),
        run=dict(config.run or {}))
    shared = tuple(sorted(Path(name).stem for name in beside if name.endswith(".py")))
    return PeerTask(
        spec, {program.name: program.read_bytes()} | beside,
        Peer(evaluator=evaluator.relative_to(folder).as_posix(), program=program.name,
             program_path=program.relative_to(folder).as_posix(), shared=shared, **peer),
        (*config.warnings, *packages.warnings))


def _memory_mb(text: str) -> int:
    imported = "|".join(_LARGE)
    large = re.search(rf"^\s*(import|from)\s+({imported})\b", text, re.MULTILINE)
    return _LARGE_MEMORY_MB if large else _MEMORY_MB


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        raise TaskError(f"{path} is not UTF-8 text") from None


def _name(folder: Path) -> str:
    """The folder's name; with its parent's for a number like heilbronn_convex/13."""
    name = folder.resolve().name
    return f"{folder.resolve().parent.name}_{name}" if name.isdigit() else name


def _paths(folder: Path, names: Iterable[str]) -> list[Path]:
    return [folder / name for name in names if name.endswith(".py")]


def _companions(program: Path, text: str) -> dict[str, bytes]:
    """Files beside the program that it needs: modules it imports, and theirs; data that it names."""
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
        return path.is_file() and not path.is_symlink() and path.stat().st_size <= _MAX_DATA
    except OSError:  # a text that is too long for a name
        return False


def _names_in(text: str) -> tuple[set[str], set[str]]:
    """Modules that a text imports, and its strings that could be names of files."""
    try:
        tree = ast.parse(text)
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
            if "." in value and "/" not in value and "\n" not in value and len(value) < 100:
                strings.add(value)
    return modules, strings
