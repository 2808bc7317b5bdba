"""Other numbers for a program, as the decision says: it needs no model and no generator."""

from evolve.operators.base import Child, Operator, Rejected
from evolve.operators.context import Context
from evolve.operators.literals import render, skeleton_of


class Tune(Operator):
    """An operator that writes the numbers of its decision into the first parent."""

    shows = ()
    needs_tuner = True

    async def propose(self, context: Context) -> Child:
        """Write the numbers.

        Args:
            context: the first parent, and the numbers of the decision

        Returns:
            The child, with all changes in its note.

        Raises:
            Rejected: there are no numbers to write
        """
        files = context.parents[0].files
        shown = {path: files[path] for path in context.task.edits.within(files)}
        found = skeleton_of(shown).literals
        values = dict(context.literals)
        if not values or max(values) >= len(found):
            raise Rejected("unchanged", "there is no number to tune")
        changed = render(shown, found, values)
        notes = [f"{found[k].value!r} -> {value!r}" for k, value in values.items()]
        return Child({**files, **changed}, "; ".join(notes))
