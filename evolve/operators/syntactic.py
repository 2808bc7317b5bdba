"""Mutation without a model: a few small random edits inside the editable region.

Python files are edited by their syntax tree, files in other languages by their tokens.
"""

import numpy as np
from numpy.random import Generator
from pydantic import Field

from evolve.archive import Files
from evolve.operators.base import Child, Operator, Rejected
from evolve.operators.changing import Changed, change
from evolve.operators.context import Context
from evolve.operators.lexical import mutate_tokens
from evolve.operators.mutations import MUTATIONS, NothingToChange
from evolve.operators.python_source import Source, syntax_error
from evolve.tasks import Task, editable_region

TRIES = 30
LOOKS = 4  # at a seed, each of `TRIES` edits


class Syntactic(Operator):
    """An operator that edits the first parent at random."""

    shows = ()

    class Params(Operator.Params):
        """Parameters of `syntactic`."""

        more: float = Field(
            0.35, ge=0, lt=1, description="probability of one more edit after each"
        )

    params: Params

    async def propose(self, context: Context) -> Child:
        """Try until an edit gives a different program that parses.

        Args:
            context: the first parent and the generator

        Returns:
            The child, with all edits in its note.

        Raises:
            Rejected: no new program after `TRIES` attempts
        """
        files = context.parents[0].files
        shown = {path: files[path] for path in context.task.edits.within(files)}
        new = await change(mutate, shown, self.params.more, context.rng, files=shown)
        return Child({**files, new.path: new.content}, new.note)


def nothing_to_edit(task: Task) -> bool:
    """Return whether small random edits find nothing in a seed, such as a text without numbers.

    Args:
        task: The task.

    Returns:
        True if none of `LOOKS` tries gave a new program.
    """
    shown = {path: task.seed[path] for path in task.edits.within(task.seed)}
    for look in range(LOOKS):
        try:
            mutate(shown, 0.0, np.random.default_rng(look))
        except Rejected:
            continue
        return False
    return True


def mutate(files: Files, more: float, rng: Generator) -> Changed:
    """Edit one file at random.

    Args:
        files: editable files, path -> content
        more: probability of one more edit after each
        rng: generator

    Returns:
        The changed file, with all edits in its note.

    Raises:
        Rejected: no new program after `TRIES` attempts
    """
    path = pick_file(tuple(files), files, rng)
    text, notes = files[path].decode(), []
    for _ in range(TRIES):
        edited = (
            mutate_python(text, rng)
            if path.endswith(".py")
            else mutate_tokens(path, text, rng)
        )
        if edited is None or edited[0] == text:
            continue
        text = edited[0]
        notes.append(edited[1])
        if rng.random() >= more:
            return Changed(path, text.encode(), "; ".join(notes))
    raise Rejected("unchanged", f"no small edit of {path} gave a new program")


def pick_file(editable: tuple[str, ...], files: Files, rng: Generator) -> str:
    """Choose a file with a probability proportional to the size of its editable region.

    Args:
        editable: paths to choose from
        files: path -> content
        rng: generator

    Returns:
        One of the paths.
    """
    sizes = np.array(
        [len(editable_region(files[path].decode()).text) + 1 for path in editable]
    )
    return editable[int(rng.choice(len(editable), p=sizes / sizes.sum()))]


def mutate_python(text: str, rng: Generator) -> tuple[str, str] | None:
    """Apply one random edit to Python code.

    Args:
        text: content of the file
        rng: generator

    Returns:
        The new text and a note; None if the mutation does not apply or breaks the
        syntax.
    """
    source = Source(text)
    weights = np.array([weight for _, weight in MUTATIONS])
    mutation = MUTATIONS[int(rng.choice(len(MUTATIONS), p=weights / weights.sum()))][0]
    try:
        edit = mutation(source, rng)
    except NothingToChange:
        return None
    child = source.apply(edit)
    return (child, edit.note) if syntax_error(child) is None else None
