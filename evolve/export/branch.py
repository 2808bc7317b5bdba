"""A variant on a branch of the user's own repository; the checkout is untouched."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from evolve.archive import Files, Proposal
from evolve.archive.git import run_git
from evolve.errors import INSTALL_GIT, PrerequisiteError, UsageError
from evolve.runs.reader import OpenRun
from evolve.text import one_line


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
    git = _Git(repository)
    seed, files = run.files(run.archive.first()), run.files(proposal)
    folder = _folder(git, seed) if to is None else to.strip("/").removeprefix("./")
    if folder.split("/")[0] == ".git" or ".." in folder.split("/"):
        raise UsageError(
            f"invalid folder {to!r}", "use one inside the repository: --to DIR"
        )
    name = branch or f"evolve/{run.folder.name}-{proposal.id[:8]}"
    git.run("check-ref-format", "--branch", name, hint="choose another --branch")
    if git.run("branch", "--list", name):
        raise UsageError(f"branch {name} exists already", "choose another --branch")
    changed = {
        path: content for path, content in files.items() if seed.get(path) != content
    }
    gone = [path for path in seed if path not in files]
    with tempfile.TemporaryDirectory(prefix="evolve-index-") as place:
        git.environment["GIT_INDEX_FILE"] = f"{place}/index"
        git.run("read-tree", "HEAD")
        _stage(git, folder, changed, gone)
        tree = git.run("write-tree")
        del git.environment["GIT_INDEX_FILE"]
    commit = git.run("commit-tree", tree, "-p", "HEAD", "-m", _message(run, proposal))
    git.run("branch", name, commit)
    return Applied(name, commit, folder, tuple(sorted([*changed, *gone])))


def _message(run: OpenRun, proposal: Proposal) -> str:
    score = run.archive.scores(wanted=[proposal.id]).get(proposal.id)
    return (
        f"{run.folder.task_name}: {one_line(proposal.note, 60) or proposal.id}\n\n"
        f"Variant {proposal.id} of the run {run.folder.name}, score {score!r}.\n"
    )


def _stage(git: "_Git", folder: str, changed: Files, gone: list[str]) -> None:
    for path, content in changed.items():
        blob = git.run("hash-object", "-w", "--stdin", content=content)
        mode = "100755" if content.startswith(b"#!") else "100644"
        git.run(
            "update-index",
            "--add",
            "--cacheinfo",
            f"{mode},{blob},{_join(folder, path)}",
        )
    for path in gone:
        git.run("update-index", "--force-remove", _join(folder, path))


def _folder(git: "_Git", seed: Files) -> str:
    """Return the folder in which HEAD has exactly the files of the seed."""
    blobs = {
        path: git.run("hash-object", "--stdin", content=content)
        for path, content in seed.items()
    }
    tracked = dict(
        _entry(line)
        for line in git.run("ls-tree", "-r", "-z", "HEAD").split("\0")
        if line
    )
    first = min(seed)
    places = {
        path.removesuffix(first).rstrip("/")
        for path in tracked
        if path == first or path.endswith(f"/{first}")
    }
    found = [
        place
        for place in sorted(places)
        if all(tracked.get(_join(place, path)) == blob for path, blob in blobs.items())
    ]
    if len(found) != 1:
        where = f"{len(found)} folders have" if found else "no folder has"
        raise UsageError(
            f"{where} the files of the run's seed", "name the folder: --to DIR"
        )
    return found[0]


def _entry(line: str) -> tuple[str, str]:
    facts, _, path = line.partition("\t")
    return path, facts.split()[2]


def _join(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder and folder != "." else path


class _Git:
    """git in one repository; its error messages are reported to the user."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self.environment: dict[str, str] = {}
        self.run(
            "rev-parse",
            "--verify",
            "HEAD",
            hint="name a repository with a commit: -C DIR",
        )

    def run(self, *arguments: str, content: bytes = b"", hint: str = "") -> str:
        """Return git's output; raise `UsageError` or `PrerequisiteError` on failure."""
        try:
            done = run_git(
                "-C",
                str(self._repository),
                *arguments,
                stdin=content,
                variables=self.environment,
                configured=True,
            )
        except FileNotFoundError:
            raise PrerequisiteError("git is not installed", INSTALL_GIT) from None
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise UsageError(f"git {arguments[0]}: {said}", hint)
        return done.stdout.decode(errors="surrogateescape").strip("\n")
