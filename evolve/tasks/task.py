"""Reading a task directory: task.toml, initial/, evaluate.py, or the format of another engine."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from evolve.errors import TaskError, did_you_mean
from evolve.tasks.editable import Editable
from evolve.tasks.peers import Peer, PeerTask, read_peer
from evolve.tasks.region import MarkerError, editable_region
from evolve.tasks.spec import PeerSpec, TaskSpec

MAX_SEED_BYTES = 8 * 1024 * 1024
_NOT_SCORER = ("initial", "prompts", "README.md", "__pycache__")
_SKIPPED = ("__pycache__", ".git", ".DS_Store")


@dataclass(frozen=True)
class Task:
    """A task that was read and found whole."""

    folder: Path
    spec: TaskSpec
    seed: Mapping[str, bytes]  # path -> content
    evaluator_hash: str
    peer: Peer | None = None  # another engine's format
    warnings: tuple[str, ...] = ()  # what of its configuration has no effect

    @property
    def evaluator(self) -> Path:
        return self.folder / (self.peer.evaluator if self.peer else "evaluate.py")

    @property
    def entry(self) -> str:
        """The file whose functions the scorer calls."""
        if self.spec.entry is not None:
            return self.spec.entry
        return self.editable[0] if self.editable else ""

    @property
    def module(self) -> str | None:
        """The entry as a dotted module name; None when it is not Python."""
        if not self.entry.endswith(".py"):
            return None
        return self.entry.removesuffix(".py").replace("/", ".")

    @property
    def edits(self) -> Editable:
        """What may change, come and go in a child's tree."""
        return Editable(self.spec.editable or tuple(sorted(self.seed)))

    @property
    def editable(self) -> tuple[str, ...]:
        """The files of the seed that may change."""
        return self.edits.within(self.seed)


def load_task(folder: Path) -> Task:
    """Read a task directory. Raises `TaskError` naming file, key or line."""
    if not folder.is_dir():
        raise TaskError(f"there is no task directory {folder}", "write one: evolve init NAME")
    if not (folder / "task.toml").exists() and (found := read_peer(folder)) is not None:
        return _of_peer(folder.resolve(), found)
    spec = _read_spec(folder / "task.toml")
    scorer = spec.peer.evaluator if spec.peer else "evaluate.py"
    if not (folder / scorer).is_file():
        raise TaskError(f"{folder} has no {scorer} (the scorer)", "see: evolve init NAME")
    if not (folder / "initial").is_dir():
        raise TaskError(f"{folder} has no folder initial/ (the seed)", "see: evolve init NAME")
    task = Task(folder.resolve(), spec, read_tree(folder / "initial"), _hash_evaluator(folder))
    _check_paths(task)
    return task if spec.peer is None else replace(task, peer=_peer_of(task, spec.peer))


def _peer_of(task: Task, given: PeerSpec) -> Peer:
    """The evaluator that `evolve import` kept."""
    return Peer(given.format, given.evaluator, task.entry, f"initial/{task.entry}", given.shared,
                given.thresholds, given.fitness_key)


def _of_peer(folder: Path, found: PeerTask) -> Task:
    peer = found.peer
    digest = _hash_evaluator(folder, (*_NOT_SCORER, peer.program_path))
    task = Task(folder, found.spec, found.seed, digest, peer, found.warnings)
    _check_regions(task, folder / Path(peer.program_path).parent)
    return task


def read_tree(path: Path) -> dict[str, bytes]:
    """A file or a folder as path -> content. Raises `TaskError` (empty, too large, a link)."""
    if path.is_file():
        return {path.name: path.read_bytes()}
    files: dict[str, bytes] = {}
    size = 0
    for found in sorted(path.rglob("*")):
        if any(part in _SKIPPED for part in found.parts) or found.is_dir():
            continue
        if found.is_symlink() or not found.is_file():
            raise TaskError(f"{found} is no plain file", "copy the file instead of linking it")
        size += found.stat().st_size
        if size > MAX_SEED_BYTES:
            raise TaskError(f"{path} holds more than {MAX_SEED_BYTES >> 20} MiB",
                            "keep only what is evolved in it")
        files[found.relative_to(path).as_posix()] = found.read_bytes()
    if not files:
        raise TaskError(f"{path} is empty", "put the seed program in it")
    return files


def _read_spec(path: Path) -> TaskSpec:
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise TaskError(f"{path.parent} has no task.toml" + _container_task(path.parent),
                        "see: evolve init NAME; also read are tasks of ShinkaEvolve (initial.*, "
                        "evaluate.py), OpenEvolve and SkyDiscover (initial_program.*, evaluator.py) "
                        "and CodeEvolve (input/src, input/evaluate.py)") from None
    except UnicodeDecodeError as error:
        raise TaskError(f"{path} is not UTF-8 text: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise TaskError(f"{path}: {error}", "mend the TOML at that line") from None
    try:
        return TaskSpec.model_validate(values)
    except ValidationError as error:
        raise _explain(path, error) from None


def _container_task(folder: Path) -> str:
    """What is known of folders that only a container of their own can score."""
    if (folder / "evaluator" / "evaluate.sh").is_file():
        return ": evaluator/evaluate.sh without an evaluator.py needs its own container, not run here"
    if (folder / "instruction.md").is_file() and (folder / "tests" / "test.sh").is_file():
        return ": it is a Harbor task, whose test.sh needs its own container, not run here"
    return ""


def _explain(path: Path, error: ValidationError) -> TaskError:
    # An unknown key first: its right spelling is often what else is missing.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = known_keys(TaskSpec, first["loc"][:-1])
        return TaskError(f"{path}: unknown key {key!r}", did_you_mean(str(first["loc"][-1]), known))
    if first["type"] == "missing":
        return TaskError(f"{path}: the key {key!r} is missing")
    return TaskError(f"{path}: {key or 'the file'}: {first['msg']}")


def known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that are allowed at a place in a nested model."""
    inner: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        inner = inner.model_fields[part].annotation
        options = [inner, *getattr(inner, "__args__", ())]
        inner = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(inner.model_fields)


def _check_paths(task: Task) -> None:
    toml = task.folder / "task.toml"
    for key, paths in (("editable", task.edits.names), ("entry", (task.entry,))):
        for path in paths:
            if path not in task.seed:
                raise TaskError(f"{toml}: {key}: initial/ has no file {path!r}",
                                did_you_mean(path, task.seed))
    _check_regions(task, task.folder / "initial")


def _check_regions(task: Task, place: Path) -> None:
    for path in task.editable:
        try:
            editable_region(task.seed[path].decode())
        except MarkerError as error:
            raise TaskError(f"{place}/{path}:{error.line}: {error}") from None
        except UnicodeDecodeError:
            raise TaskError(f"{place}/{path} is not UTF-8 text",
                            "leave it out of `editable`") from None


def _hash_evaluator(folder: Path, left_out: tuple[str, ...] = _NOT_SCORER) -> str:
    """A hash of everything that decides a score: all files but the seed and the README."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if (path.is_file() and inner.parts[0] not in left_out and "__pycache__" not in inner.parts
                and inner.as_posix() not in left_out):
            content = path.read_bytes()
            digest.update(f"{inner.as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


