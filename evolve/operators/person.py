"""A program that a person gave: the reply is stored with the decision, so nobody is asked."""

from __future__ import annotations

import json

from evolve.archive import PERSON, CallPurpose
from evolve.operators.base import Child, Operator, Rejected
from evolve.operators.context import Context


def person_reply(files: dict[str, str], note: str) -> str:
    """What is stored in place of a model's reply."""
    return json.dumps({"note": note, "files": files}, ensure_ascii=False)


class Person(Operator):
    """Takes the files from the stored reply. Not to be chosen by name: a policy has no replies."""

    name = PERSON

    async def propose(self, context: Context) -> Child:
        """The child that was given. Raises `Rejected`."""
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
                "unusable", f"the program that was given can't be read: {error}"
            ) from None
