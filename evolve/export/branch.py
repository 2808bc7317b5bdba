"""A variant on a branch of the user's own repository; the checkout is untouched."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from evolve.archive import Files, Proposal, is_executable
from evolve.errors import UsageError
from evolve.export.git import ask_git
from evolve.runs.reader import OpenRun
from evolve.text import one_line, told_apart


class Applied(NamedTuple):
    """The result of applying a variant.

    Attributes:
        branch: name of the new branch
        commit: its commit
        folder: folder of the program in the repository
        paths: changed and removed files, relative to `folder`
    """

    branch: str
    commit: str
    folder: str
    paths: tuple[str, ...]


def apply_variant(
    run: OpenRun,
    proposal: Proposal,
    repository: Path,
    to: str | None,
    branch: str | None,
) -> Applied:
    """Create a branch on top of HEAD with the variant's differences from the seed.

    Args:
        run: the open run
        proposal: the variant
        repository: a folder in a git repository
        to: folder of the program in it; None to find the files of the seed
        branch: name of the branch; None for evolve/RUN-ID

    Returns:
        Branch, commit and files.

    Raises:
        UsageError: not a repository, an ambiguous folder, or the branch exists
        PrerequisiteError: git is not installed
    """
    git = partial(ask_git, repository, configured=True)
    git("rev-parse", "--verify", "HEAD", hint="name a repository with a commit: -C DIR")
    seed, files = run.files(run.archive.first()), run.files(proposal)
    may_change = {path: seed[path] for path in run.task.editable}
    found = _folder(git, seed, may_change) if to is None else to
    folder = found.strip("/").removeprefix("./")
    if folder.split("/")[0] == ".git" or ".." in folder.split("/"):
        raise UsageError(
            f"invalid folder {to!r}", "use one inside the repository: --to DIR"
        )
    name = branch or f"evolve/{run.folder.name}-{proposal.id[:8]}"
    git("check-ref-format", "--branch", name, hint="choose another --branch")
    if git("branch", "--list", name):
        raise UsageError(f"branch {name} exists already", "choose another --branch")
    changed = {
        path: content for path, content in files.items() if seed.get(path) != content
    }
    gone = [path for path in seed if path not in files]
    with tempfile.TemporaryDirectory(prefix="evolve-index-") as place:
        staged = partial(git, index=f"{place}/index")
        staged("read-tree", "HEAD")
        for path, content in changed.items():
            blob = git("hash-object", "-w", "--stdin", content=content)
            mode = "100755" if is_executable(content) else "100644"
            entry = f"{mode},{blob},{_join(folder, path)}"
            staged("update-index", "--add", "--cacheinfo", entry)
        for path in gone:
            staged("update-index", "--force-remove", _join(folder, path))
        tree = staged("write-tree")
    commit = git("commit-tree", tree, "-p", "HEAD", "-m", _message(run, proposal))
    git("branch", name, commit)
    return Applied(name, commit, folder, tuple(sorted([*changed, *gone])))


def _message(run: OpenRun, proposal: Proposal) -> str:
    seed = run.archive.first()
    scores = run.archive.scores(wanted=[seed.id, proposal.id])
    before, after = told_apart(scores.get(seed.id), scores.get(proposal.id))
    what = one_line(proposal.note, 300) or "no description"
    return (
        f"{run.folder.task_name}: score {before} -> {after}\n\n"
        f"The last change: {what}\n\n"
        f"Variant {proposal.id} of the run {run.folder.name}, "
        f"score {scores.get(proposal.id)!r}; the seed {scores.get(seed.id)!r}.\n"
    )


def _folder(git: Callable[..., str], seed: Files, may_change: Files) -> str:
    """Return the folder in which HEAD has the files of the seed.

    A task may add files of its own to those of a repository: then the files that may change
    decide.
    """
    tracked = dict(
        _entry(line) for line in git("ls-tree", "-r", "-z", "HEAD").split("\0") if line
    )
    found: list[str] = []
    for files in (seed, may_change):
        found = found or list(_places(git, files, tracked))
    if len(found) != 1:
        where = f"{len(found)} folders have" if found else "no folder has"
        raise UsageError(
            f"{where} the files of the run's seed", "name the folder: --to DIR"
        )
    return found[0]


def _places(
    git: Callable[..., str], files: Files, tracked: Mapping[str, str]
) -> Iterator[str]:
    """Yield the folders in which all files are as given."""
    blobs = {
        path: git("hash-object", "--stdin", content=content)
        for path, content in files.items()
    }
    first = min(files)
    for path in sorted(tracked):
        if path == first or path.endswith(f"/{first}"):
            place = path.removesuffix(first).rstrip("/")
            if all(tracked.get(_join(place, one)) == blobs[one] for one in blobs):
                yield place


def _entry(line: str) -> tuple[str, str]:
    facts, _, path = line.partition("\t")
    return path, facts.split()[2]


def _join(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder and folder != "." else path
