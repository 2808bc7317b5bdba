"""The arguments of a task's `evaluate(candidate, case)`, and the error it may raise.

Task authors import them from `evolve`: `from evolve import Candidate, CandidateError, Case`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from evolve.sandbox.inside import wire


class CandidateError(Exception):
    """The candidate failed to answer. Let it pass, and the variant has failed with this reason."""

    def __init__(self, reason: str, message: str, log: str = "") -> None:
        super().__init__(message)
        self.reason, self.message, self.log = reason, message, log


@dataclass(frozen=True)
class Case:
    """The case to score on, as task.toml gives it.

    `seed` is the same for every variant of a run, another one in every run, and known to no
    candidate: draw hidden inputs from it. `attempt` counts the evaluations of a variant on this case:
    where scoring is noisy, draw the noise from both, and a run can be repeated.
    """

    id: str
    split: str
    params: Mapping[str, Any]
    seed: int
    attempt: int = 0


@dataclass(frozen=True)
class Completed:
    """A command that the candidate's sandbox ran."""

    exit: int
    stdout: bytes
    stderr: bytes


class Candidate:
    """A handle on the candidate: everything it answers is a claim, in plain data."""

    def __init__(
        self, stream: wire.Stream, files: Mapping[str, bytes], descriptor: int = -1
    ) -> None:
        self._stream, self.descriptor = stream, descriptor
        self.files = files  # its source, path -> content
        self.seconds = 0.0  # wall time of the last call, measured outside the candidate

    def call(
        self, function: str, *args: Any, timeout_s: float | None = None, **kwargs: Any
    ) -> Any:
        """Call a function of the candidate's entry file with plain arguments.

        Returns None, bool, int, str, bytes, finite floats, numeric numpy arrays, or lists, tuples
        and dicts of these. Raises `CandidateError`.
        """
        payload = wire.encode((list(args), kwargs))
        header = {"op": "call", "function": function, "timeout_s": timeout_s}
        return self._decoded(self._ask(header, payload)[1])

    def run(
        self, argv: Sequence[str], stdin: bytes = b"", timeout_s: float | None = None
    ) -> Completed:
        """Run a command in the candidate's folder. Raises `CandidateError`."""
        header = {"op": "run", "argv": list(argv), "timeout_s": timeout_s}
        reply, payload = self._ask(header, stdin)
        stdout, stderr = self._decoded(payload)
        return Completed(int(reply["exit"]), stdout, stderr)

    def put(self, files: Mapping[str, str | bytes]) -> None:
        """Add files to the candidate's folder, over its own: hidden tests. Raises `CandidateError`."""
        listing = {
            path: data.encode() if isinstance(data, str) else data
            for path, data in files.items()
        }
        self._ask({"op": "put", "timeout_s": None}, wire.encode(listing))

    def fail(self, message: str) -> NoReturn:
        """Refuse the candidate's answer: the variant has failed, and the message says why."""
        raise CandidateError("invalid", message)

    def _ask(
        self, header: dict[str, Any], payload: bytes
    ) -> tuple[dict[str, Any], bytes]:
        header["token"] = secrets.token_hex(4)
        self._stream.write(wire.frame(header, payload))
        self._stream.flush()
        reply, answer = wire.read_frame(self._stream)
        # to one of us that was killed while it waited
        while reply["token"] != header["token"]:
            reply, answer = wire.read_frame(self._stream)
        self.seconds = float(reply.get("seconds", 0.0))
        if not reply["ok"]:
            raise CandidateError(reply["reason"], reply["message"], reply["log"])
        return reply, answer

    def _decoded(self, payload: bytes) -> Any:
        try:
            return wire.decode(payload)
        except wire.Malformed as error:
            raise CandidateError("refused", f"its answer: {error}") from None
