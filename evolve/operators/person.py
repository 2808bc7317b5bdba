"""Programs written by people: the reply is stored with the decision.

No model is asked.
"""

import json

from evolve.archive import CallPurpose
from evolve.operators.base import Child, Operator, Rejected
from evolve.operators.context import Context


def person_reply(files: dict[str, str], note: str) -> str:
    """Return the text that is stored in place of a model's reply.

    Args:
        files: path -> text
        note: one line on the change

    Returns:
        JSON.
    """
    return json.dumps({"note": note, "files": files}, ensure_ascii=False)


class Person(Operator):
    """An operator that takes the files from the stored reply.

    It can't be selected by name: a policy has no replies.
    """

    shows = ()

    async def propose(self, context: Context) -> Child:
        """Return the child that a person gave.

        Args:
            context: `ask` returns the stored reply

        Returns:
            The child.

        Raises:
            Rejected: the stored reply can't be read
        """
        assert context.ask is not None
        reply = await context.ask(CallPurpose.PROPOSE, [])
        try:
            given = json.loads(reply.text)
            files = {
                str(path): str(text).encode() for path, text in given["files"].items()
            }
            return Child(files, str(given["note"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Rejected(
                "unusable", f"the given program can't be read: {error}"
            ) from None
