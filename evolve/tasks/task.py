"""Reading a task directory: task.toml, initial/, evaluate.py, or a foreign format."""

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from evolve.archive import is_executable
from evolve.errors import TaskError, did_you_mean, validation_message
from evolve.tasks.editable import Editable
from evolve.tasks.files import check_inside, of_tools, task_files
from evolve.tasks.named import file_of, marked, marked_like, names_of
from evolve.tasks.peers import Peer, PeerTask, read_peer
from evolve.tasks.region import MarkerError, editable_region
from evolve.tasks.spec import AGENT_GENOME, SHIPPED, PeerSpec, TaskSpec
from evolve.trust.store import add_content

MAX_SEED_BYTES = 8 * 1024 * 1024
# in a run's copy: the result of evaluate.py's cases() at the start of the run
CASES = "cases.json"
SHIPPED_AGENT = Path(__file__).parents[1] / "agents" / "seed"
_SHIPPED = (Path(__file__).parents[1] / "shipped").resolve()
_NOT_SCORER = ("initial", "prompts", "README.md", CASES)


@dataclass(frozen=True)
class Task:
    """A task that was read and checked.

    Attributes:
        folder: the task directory, absolute
        spec: the content of task.toml
        seed: path -> content
        evaluator_hash: changes with everything that decides a score
        peer: how to run the evaluator of another engine; None for evaluate.py
        warnings: settings of another engine's configuration without effect
        made_cases: JSON of cases that evaluate.py generated, stored in a run's copy
        trusted: the copy of a run that this user signed
    """

    folder: Path
    spec: TaskSpec
    seed: Mapping[str, bytes]
    evaluator_hash: str
    peer: Peer | None = None
    warnings: tuple[str, ...] = ()
    made_cases: str | None = None
    trusted: bool = False

    def above_ceiling(self, score: float) -> bool:
        """Return whether a score is better than the proved bound.

        Such a score is a fault of the scorer, not a discovery.

        Args:
            score: in the task's own direction

        Returns:
            False if the task has no ceiling.
        """
        ceiling = self.spec.ceiling
        if ceiling is None:
            return False
        return score > ceiling if self.spec.maximize else score < ceiling

    @property
    def evaluator(self) -> Path:
        """Path of evaluate.py, or of the evaluator of another engine."""
        return self.folder / (self.peer.evaluator if self.peer else "evaluate.py")

    @property
    def entry(self) -> str:
        """The file with the functions that are scored, or the agent's file to run."""
        if self.spec.agent is not None:
            return self.spec.agent.entry
        if self.spec.entry is not None:
            return self.spec.entry
        return self.editable[0] if self.editable else ""

    @property
    def module(self) -> str | None:
        """The dotted name of the module that the scorer calls; None if it isn't Python.

        In an agent task this is the produced file `agent.solution`, if the task names
        one.
        """
        called = (
            self.entry if self.spec.agent is None else self.spec.agent.solution or ""
        )
        if not called.endswith(".py"):
            return None
        return called.removesuffix(".py").replace("/", ".")

    @cached_property
    def edits(self) -> Editable:
        """The files that a child's tree may change, create and delete."""
        if self.spec.agent is not None:
            return Editable(
                self.spec.agent.genome or (*sorted(self.seed), *AGENT_GENOME)
            )
        named = dict.fromkeys(map(file_of, self.spec.editable))
        return Editable(tuple(named) or tuple(sorted(self.seed)))

    def marked(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """Mark the editable regions that task.toml names in files from outside of a run.

        Args:
            files: path -> content

        Returns:
            The files, to be checked and scored as a variant.

        Raises:
            TaskError: a file has no definition of a name
        """
        return marked_like(self.seed, files, self.spec.editable)

    @property
    def editable(self) -> tuple[str, ...]:
        """The files of the seed that may change."""
        return self.edits.within(self.seed)


def shipped() -> dict[str, Path]:
    """Return the tasks that are installed with this program: name -> directory."""
    found = sorted(_SHIPPED.glob("*/task.toml")) if _SHIPPED.is_dir() else []
    return {path.parent.name: path.parent for path in found}


def load_task(folder: Path, hashed: bool = True) -> Task:
    """Read a task directory, in this engine's format or another's.

    Args:
        folder: the task directory
        hashed: whether to read all files for `evaluator_hash`; False: it is empty

    Returns:
        The checked task.

    Raises:
        TaskError: a file or key is missing or invalid; the message names file, key or
            line
    """
    if not folder.is_dir():
        raise TaskError(
            f"task directory {folder} does not exist",
            f"write one: evolve init NAME; or use a shipped one: {', '.join(shipped())}",
        )
    task_files(folder)  # refuses links out of the folder before anything is read
    if not (folder / "task.toml").exists() and (found := read_peer(folder)) is not None:
        return _of_peer(folder.resolve(), found)
    spec = _read_spec(folder / "task.toml")
    scorer = spec.peer.evaluator if spec.peer else "evaluate.py"
    if not (folder / scorer).is_file():
        raise TaskError(
            f"{folder} has no {scorer} (the scorer)", "see: evolve init NAME"
        )
    digest = _hash_evaluator(folder) if hashed else ""
    task = Task(folder.resolve(), spec, _read_seed(folder, spec), digest)
    _check_paths(task)
    task = replace(task, warnings=_without_their_bit(folder / "initial", task.seed))
    if (folder / CASES).is_file() and not spec.lists_cases:
        task = with_cases(task, (folder / CASES).read_text())
    return task if spec.peer is None else replace(task, peer=_peer_of(task, spec.peer))


def _without_their_bit(folder: Path, seed: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return a warning about files that are executable here, but not in a variant.

    Some file systems say so of all files: then it means nothing.
    """
    marked = [
        path
        for path in seed
        if (folder / path).is_file() and os.access(folder / path, os.X_OK)
    ]
    lost = [path for path in marked if not is_executable(seed[path])]
    if not lost or len(marked) == len(seed):
        return ()
    more = f" and {len(lost) - 1} more files" if len(lost) > 1 else ""
    return (
        f"{folder.name}/{lost[0]}{more}: executable here, but not in the sandbox, as it is "
        "neither a program nor a script that begins with #!",
    )


def _read_seed(folder: Path, spec: TaskSpec) -> dict[str, bytes]:
    """Return the files of initial/, or the agent that ships with the engine."""
    # A run's copy holds the seed it started with, even if the shipped agent changes.
    if (folder / "initial").is_dir():
        return _with_regions(folder, read_tree(folder / "initial"), spec)
    if spec.agent is not None and spec.agent.seed == SHIPPED:
        return read_tree(SHIPPED_AGENT)
    hint = 'or [agent] seed = "shipped" for the engine\'s own' if spec.agent else ""
    raise TaskError(
        f"{folder} has no folder initial/ (the seed)", hint or "see: evolve init NAME"
    )


def _with_regions(
    folder: Path, files: dict[str, bytes], spec: TaskSpec
) -> dict[str, bytes]:
    """Return the files with markers around the definitions that `editable` names."""
    try:
        return files | {
            path: marked(path, files[path], names)
            for path, names in names_of(spec.editable).items()
            if path in files  # else `_check_paths` says which are there
        }
    except TaskError as error:
        raise TaskError(f"{folder / 'task.toml'}: {error}", error.hint) from None


def with_cases(task: Task, text: str) -> Task:
    """Return the task with cases that evaluate.py generated.

    Args:
        task: the task as read from task.toml
        text: JSON list of cases

    Returns:
        A copy; its evaluator hash covers the cases.

    Raises:
        TaskError: not JSON, or an invalid case
    """
    try:
        spec = TaskSpec.model_validate(
            task.spec.model_dump(exclude_unset=True) | {"cases": json.loads(text)}
        )
    except json.JSONDecodeError as error:
        raise TaskError(
            f"{task.folder / CASES} is not JSON: {error}", "restore it"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" for part in first["loc"][1:])
        raise TaskError(
            f"{task.evaluator}: cases(){place}: {validation_message(first)}",
            'each is {"id": ..., "split": ..., "params": {...}}',
        ) from None
    digest = hashlib.sha256(f"{task.evaluator_hash}\0{text}".encode()).hexdigest()[:16]
    return replace(task, spec=spec, evaluator_hash=digest, made_cases=text)


def _peer_of(task: Task, given: PeerSpec) -> Peer:
    """Return the evaluator that `evolve import` kept."""
    return Peer(
        given.format,
        given.evaluator,
        task.entry,
        f"initial/{task.entry}",
        given.shared,
        given.thresholds,
        given.fitness_key,
    )


def _of_peer(folder: Path, found: PeerTask) -> Task:
    peer = found.peer
    digest = _hash_evaluator(folder, (*_NOT_SCORER, peer.program_path))
    task = Task(folder, found.spec, found.seed, digest, peer, found.warnings)
    _check_regions(task, folder / Path(peer.program_path).parent)
    return task


def read_tree(path: Path) -> dict[str, bytes]:
    """Read a file or a folder, without files of tools.

    Args:
        path: the file or folder

    Returns:
        Path relative to the folder -> content.

    Raises:
        TaskError: empty, larger than `MAX_SEED_BYTES`, or holding a link or special
            file
    """
    if path.is_file():
        return {path.name: path.read_bytes()}
    files: dict[str, bytes] = {}
    size = 0
    for found in sorted(path.rglob("*")):
        if any(map(of_tools, found.relative_to(path).parts)) or found.is_dir():
            continue
        if found.is_symlink() or not found.is_file():
            raise TaskError(
                f"{found} is not a regular file", "copy the file instead of linking it"
            )
        size += found.stat().st_size
        if size > MAX_SEED_BYTES:
            raise TaskError(
                f"{path} holds more than {MAX_SEED_BYTES >> 20} MiB",
                "keep only the files to evolve",
            )
        files[found.relative_to(path).as_posix()] = found.read_bytes()
    if not files:
        raise TaskError(f"{path} is empty", "put the seed program in it")
    return files


def _read_spec(path: Path) -> TaskSpec:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise TaskError(
            f"{path.parent} has no task.toml" + _container_task(path.parent),
            "see: evolve init NAME; other supported formats: ShinkaEvolve (initial.*, "
            "evaluate.py), OpenEvolve and SkyDiscover (initial_program.*, evaluator.py), "
            "CodeEvolve (input/src, input/evaluate.py)",
        ) from None
    except UnicodeDecodeError as error:
        raise TaskError(f"{path} is not UTF-8 text: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise TaskError(f"{path}: {error}", "fix the TOML at that line") from None
    try:
        return TaskSpec.model_validate(values)
    except ValidationError as error:
        raise _explain(path, error) from None


def _container_task(folder: Path) -> str:
    """Describe a folder with a task that needs its own container; empty otherwise."""
    if (folder / "evaluator" / "evaluate.sh").is_file():
        return ": evaluator/evaluate.sh without evaluator.py needs its own container, not supported here"
    if (folder / "instruction.md").is_file() and (
        folder / "tests" / "test.sh"
    ).is_file():
        return ": this is a Harbor task; its test.sh needs its own container, not supported here"
    return ""


def _explain(path: Path, error: ValidationError) -> TaskError:
    # An unknown key first: it is often the misspelling of a missing one.
    first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = known_keys(TaskSpec, first["loc"][:-1])
        return TaskError(
            f"{path}: unknown key {key!r}", did_you_mean(str(first["loc"][-1]), known)
        )
    if first["type"] == "missing":
        return TaskError(f"{path}: the key {key!r} is missing")
    return TaskError(f"{path}: {f'{key}: ' if key else ''}{validation_message(first)}")


def known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are allowed at a location in a nested model.

    Args:
        model: the root model
        location: keys and list indices that lead to the table

    Returns:
        Keys in the order of the model.
    """
    inner: Any = model
    for part in location:
        if isinstance(part, int):
            continue
        inner = inner.model_fields[part].annotation
        options = [inner, *getattr(inner, "__args__", ())]
        inner = next(
            o for o in options if isinstance(o, type) and issubclass(o, BaseModel)
        )
    return list(inner.model_fields)


def _check_paths(task: Task) -> None:
    toml, image = task.folder / "task.toml", task.spec.environment.image
    check_inside(task.evaluator, task.folder)
    if task.spec.peer is not None:
        check_inside(task.folder / task.spec.peer.evaluator, task.folder)
    if image is not None and Path(image).name == "Dockerfile":
        check_inside(task.folder / image, task.folder)
    table = "agent." if task.spec.agent else ""
    editable = f"{table}genome" if task.spec.agent else "editable"
    for key, paths in ((editable, task.edits.names), (f"{table}entry", (task.entry,))):
        for path in paths:
            if path not in task.seed:
                raise TaskError(
                    f"{toml}: {key}: initial/ has no file {path!r}",
                    did_you_mean(path, task.seed),
                )
    _check_regions(task, task.folder / "initial")


def _or_left_out(task: Task) -> str:
    return ", or leave it out of `editable`" if len(task.editable) > 1 else ""


def _check_regions(task: Task, place: Path) -> None:
    for path in task.editable:
        try:
            editable_region(task.seed[path].decode())
        except MarkerError as error:
            raise TaskError(f"{place}/{path}:{error.line}: {error}") from None
        except UnicodeDecodeError:
            raise TaskError(
                f"{place}/{path} is not UTF-8 text",
                "save it as UTF-8" + _or_left_out(task),
            ) from None


def _hash_evaluator(folder: Path, left_out: tuple[str, ...] = _NOT_SCORER) -> str:
    """Hash everything that decides a score: all files except seed and README."""
    digest = hashlib.sha256()
    for inner in task_files(folder):
        if inner.parts[0] not in left_out and inner.as_posix() not in left_out:
            size = (folder / inner).stat().st_size
            digest.update(f"{inner.as_posix()}\0{size}\0".encode())
            add_content(digest, folder / inner)
    return digest.hexdigest()[:16]
