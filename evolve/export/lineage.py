"""The lineage of the best as a git branch, and its patch against the seed."""

from pathlib import Path

from evolve.archive import CodeStore, Proposal
from evolve.export.git import ask_git
from evolve.runs.reader import OpenRun, make_folder
from evolve.text import one_line

BRANCH = "best"


def write_lineage(run: OpenRun, which: Proposal, folder: Path) -> int:
    """Write a new repository with one commit per generation, and best.patch.

    Args:
        run: the open run
        which: the last variant of the lineage
        folder: a new or empty folder

    Returns:
        Number of commits.

    Raises:
        UsageError: the folder is not empty, or git fails
        PrerequisiteError: git is not installed
    """
    make_folder(folder)
    path = [run.proposal(name) for name in run.path(which.id)]
    scores = run.archive.scores(wanted=[p.id for p in path])
    ask_git(folder, "init", "--quiet", f"--initial-branch={BRANCH}")
    store, parent = CodeStore.open(folder / ".git"), ""
    for step in path:
        message = (
            f"{step.operator}: {one_line(step.note, 60) or step.id}\n\n"
            f"score {scores.get(step.id)!r}\nvariant {step.id}"
        )
        parent = store.commit(
            run.files(step), [parent] if parent else [], message
        ).commit
    store.close()
    ask_git(folder, "update-ref", f"refs/heads/{BRANCH}", parent)
    ask_git(folder, "reset", "--quiet", "--hard", BRANCH)
    (folder / ".git" / "info" / "exclude").write_text("/best.patch\n")
    (folder / "best.patch").write_text(run.patch(path[0], path[-1]))
    return len(path)
