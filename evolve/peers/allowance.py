"""The time that a program may take in one evaluation, or in one stage of a cascade.

Another engine's limit is for the whole evaluation. Here the evaluator's own time does not count:
the calls of the program are added up, by all processes of the evaluation.
"""

from typing import Any

from evolve.candidate import Candidate, CandidateError
from evolve.peers.ledger import Ledger

_WORKS = ("call", "run")  # requests in which the program works
_SHORTEST_S = 0.001


class LimitedCandidate(Candidate):
    """A candidate with one time limit for all its calls together.

    Args:
        candidate: The connection to the engine.
        ledger: Shared by all processes of the evaluation.
        limit_s: Limit in seconds.
        name: What sets it, for messages.
    """

    def __init__(
        self, candidate: Candidate, ledger: Ledger, limit_s: float, name: str
    ) -> None:
        super().__init__(candidate.stream, candidate.files, candidate.descriptor)
        self._ledger, self._limit_s, self._name = ledger, limit_s, name

    def _ask(
        self, header: dict[str, Any], payload: bytes
    ) -> tuple[dict[str, Any], bytes]:
        if header["op"] not in _WORKS:
            return super()._ask(header, payload)
        left_s = self._limit_s - self._ledger["worked"] / 1e9
        asked_s = header.get("timeout_s")
        own = asked_s is not None and asked_s < left_s  # of the evaluator
        header["timeout_s"] = asked_s if own else max(left_s, _SHORTEST_S)
        try:
            reply, answer = super()._ask(header, payload)
        except CandidateError as error:
            if error.reason == "timeout" and not own:
                message = (
                    f"the program took more than {self._limit_s:g} s in one evaluation, "
                    f"the limit of {self._name}"
                )
                raise CandidateError("timeout", message, error.log) from None
            raise
        wall_ns = reply["measured"][0] if "measured" in reply else self.seconds * 1e9
        self._ledger["worked"] += int(wall_ns)
        return reply, answer
