"""A person steers a live run: what lies in its inbox is carried out between two decisions."""

from __future__ import annotations

from functools import partial

from archive import PERSON, Proposal, Snapshot, Steering, messages_taken
from evolve.deciding import plan_proposals
from evolve.inbox import Inbox, Message
from evolve.recorder import Recorder
from evolve.search import Expand


class Steward:
    """Takes messages, each once. A program becomes a proposal like any other."""

    def __init__(self, inbox: Inbox, recorder: Recorder, seed: int) -> None:
        self._inbox, self._recorder, self._seed = inbox, recorder, seed
        self._steering = Steering(recorder.archive)
        self._taken = messages_taken(recorder.archive)

    async def take(self, number: int, settled: int | None) -> Proposal | None:
        """Carry out what lies there, up to the first program: the proposal that it is, as `number`."""
        for message in self._inbox.messages():
            proposal = None
            if message.id not in self._taken:
                proposal = await self._carry_out(message, number, settled)
                self._taken.add(message.id)
            self._inbox.remove(message)
            if proposal is not None:
                return proposal
        return None

    async def _carry_out(self, message: Message, number: int, settled: int | None) -> Proposal | None:
        recorder, snapshot, data = self._recorder, self._recorder.snapshot, message.data
        about = str(data.get("variant") or data.get("parent") or "")
        text = str(data.get("text", ""))
        if message.verb == "tell":
            await recorder.steer(partial(self._steering.tell, message.id, text))
            snapshot.hints = snapshot.last_event
        elif about not in snapshot:
            await recorder.steer(partial(self._steering.refuse, message.id,
                                         f"{message.verb} {about}: it is not scored"))
        elif message.verb == "ban":
            snapshot.distrust(about)
            await recorder.steer(partial(self._steering.ban, message.id, about, text))
        elif message.verb == "add":
            return await self._add(message, _planned(about, self._seed, number, snapshot, settled))
        return None

    async def _add(self, message: Message, proposal: Proposal) -> Proposal:
        recorder = self._recorder
        recorder.snapshot.expect(proposal.parents)
        recorder.last_number = max(recorder.last_number, proposal.number)
        await recorder.steer(partial(self._steering.add, message.id, proposal,
                                     str(message.data["reply"]), str(message.data.get("text", ""))))
        recorder.replied.add(proposal.id)
        return proposal


def _planned(parent: str, seed: int, number: int, snapshot: Snapshot, settled: int | None) -> Proposal:
    return plan_proposals(Expand((parent,), PERSON), seed, number, snapshot, settled)[0]
