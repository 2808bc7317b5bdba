"""The arguments of a task's `evaluate(candidate, case)`, and the error it may raise.

Task authors import them from `evolve`: `from evolve import Candidate, CandidateError, Case`.
"""

import secrets
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from evolve.sandbox.inside import wire

if TYPE_CHECKING:
    from evolve.timing import Against, Check, Clock, Draw, Plan, Speed, Timing

KEPT_BYTES = 32 << 20
KEPT_LOG = 2000  # characters of what tests printed


class CandidateError(Exception):
    """The candidate gave no usable answer; if it is not caught, the variant has failed.

    Args:
        reason: Why, for programs, such as "timeout" or "invalid".
        message: Why, for people and for prompts.
        log: Output of the candidate.
    """

    def __init__(self, reason: str, message: str, log: str = "") -> None:
        super().__init__(message)
        self.reason, self.message, self.log = reason, message, log


@dataclass(frozen=True)
class Case:
    """The case to score on, from task.toml.

    Attributes:
        id: Its name.
        split: `search` or `heldout`.
        params: Its parameters.
        seed: Secret seed, the same for all variants of a run and different in each run;
            candidates can't read it. Draw hidden inputs from it.
        attempt: Number of earlier evaluations of the variant on this case. If scoring is
            noisy, draw the noise from `seed` and `attempt`, so that runs are repeatable.
    """

    id: str
    split: str
    params: Mapping[str, Any]
    seed: int
    attempt: int = 0


@dataclass(frozen=True)
class Completed:
    """The result of a command in the candidate's sandbox.

    Attributes:
        exit: Exit code.
        stdout: Standard output.
        stderr: Standard error.
    """

    exit: int
    stdout: bytes
    stderr: bytes


class Candidate:
    """A handle on the candidate. Its answers are plain data and must not be trusted.

    Args:
        stream: Connection to the engine.
        files: Source of the candidate, path -> content.
        descriptor: File descriptor of the connection; -1: none.

    Attributes:
        stream: Connection to the engine.
        files: Source of the candidate, path -> content.
        seconds: Wall time of the last call, measured outside the candidate.
        drawn: Whether the scorer has read `case.seed`, so that its inputs are hidden.
    """

    _kept_bytes = 0

    def __init__(
        self, stream: wire.Stream, files: Mapping[str, bytes], descriptor: int = -1
    ) -> None:
        self.stream, self.descriptor = stream, descriptor
        self.files = files
        self.seconds = 0.0
        self.drawn = False

    def call(
        self, function: str, *args: Any, timeout_s: float | None = None, **kwargs: Any
    ) -> Any:
        """Call a function of the candidate's entry file.

        Args:
            function: Name of the function.
            *args: Plain data, as returned.
            timeout_s: Time limit in seconds; None: that of the task.
            **kwargs: Plain data, as returned.

        Returns:
            None, bool, int, str, bytes, finite floats, numeric numpy arrays, or lists,
            tuples and dicts of these.

        Raises:
            CandidateError: The candidate raised, exceeded a limit, or returned other data.
        """
        payload = wire.encode((list(args), kwargs))
        header = {"op": "call", "function": function, "timeout_s": timeout_s}
        return self.decoded(self._ask(header, payload)[1])

    def run(
        self,
        argv: Sequence[str],
        stdin: bytes | str = b"",
        timeout_s: float | None = None,
        folder: str = "",
    ) -> Completed:
        """Run a command in the candidate's folder.

        Args:
            argv: The command and its arguments.
            stdin: Its standard input; text is sent as UTF-8.
            timeout_s: Time limit in seconds; None: that of the task.
            folder: Where it runs, below the candidate's folder.

        Returns:
            Exit code and output; a non-zero exit code is not an error.

        Raises:
            CandidateError: The command exceeded a limit.
        """
        header = {
            "op": "run",
            "argv": list(argv),
            "timeout_s": timeout_s,
            "folder": folder,
        }
        given = stdin.encode() if isinstance(stdin, str) else stdin
        reply, payload = self._ask(header, given)
        stdout, stderr = self.decoded(payload)
        return Completed(int(reply["exit"]), stdout, stderr)

    def time(
        self, function: str, inputs: Sequence[Sequence[Any]], rounds: int = 5
    ) -> "Timing":
        """Time a function, each round in a fresh process on the same inputs.

        The time is measured outside the candidate and without the wire. Inputs must
        differ from each other, so that remembering answers gains nothing. The first input
        only warms the process up, if there is more than one.

        Args:
            function: Name of the function.
            inputs: Arguments of each call.
            rounds: Number of processes.

        Returns:
            Seconds, CPU seconds, and all answers: check them.

        Raises:
            CandidateError: The candidate raised, exceeded a limit, or returned other data.
        """
        from evolve.timing import time_calls

        return time_calls(self, function, inputs, rounds)

    def measure(
        self,
        function: str,
        draw: "Draw",
        check: "Check | None" = None,
        against: "Against" = "best",
        plan: "Plan | None" = None,
        clock: "Clock" = "cpu",
    ) -> "Speed":
        """Measure a function against a reference, in pairs of fresh processes.

        Args:
            function: Name of the function.
            draw: Draws the arguments of one call from a `numpy.random.Generator`; no input
                is used in two blocks.
            check: Gets an answer, the reference's and the arguments; raises, as
                `candidate.fail` does, if the answer is wrong. None: they must be equal.
            against: "best": the best variant so far, else "seed".
            plan: How sure the decision must be, and how long it may take.
            clock: "cpu", or "wall" for programs that wait.

        Returns:
            The speed as a multiple of the seed's, and the measurement.

        Raises:
            CandidateError: The candidate raised, exceeded a limit, or answered otherwise.
        """
        from evolve.timing import Plan, measure_calls, same

        def equal(answer: Any, expected: Any, _: Sequence[Any]) -> None:
            if not same(answer, expected):
                self.fail(f"an answer of {function} differs from the reference's")

        self.drawn = True  # its inputs are hidden
        return measure_calls(
            self, function, draw, check or equal, against, plan or Plan(), clock
        )

    def compare(
        self, function: str, inputs: Sequence[Sequence[Any]]
    ) -> list[tuple[Any, Any]]:
        """Make calls of the candidate and of the seed, each in a fresh process.

        Args:
            function: Name of the function.
            inputs: Arguments of each call.

        Returns:
            For each call the candidate's answer and the seed's.

        Raises:
            CandidateError: The candidate raised, exceeded a limit, or returned other data.
        """
        from evolve.timing import compare_calls

        return compare_calls(self, function, inputs)

    def ask_block(self, header: dict[str, Any], payload: bytes) -> dict[str, Any]:
        """Run a block of timed calls; see `evolve.timing.calls`.

        Args:
            header: The request.
            payload: Its calls.

        Returns:
            The engine's answer; what a process answered in it is still encoded.

        Raises:
            CandidateError: The candidate raised, exceeded a limit, or returned other data.
        """
        header |= {"op": "block", "timeout_s": None}
        found: dict[str, Any] = wire.decode(self._ask(header, payload)[1])
        return found

    def request(
        self, header: dict[str, Any], payload: bytes
    ) -> tuple[dict[str, Any], bytes]:
        """Make a request that may be measured; see `evolve.peers.meter`.

        Args:
            header: The request.
            payload: Its arguments, or its input.

        Returns:
            Header and payload of the answer.

        Raises:
            CandidateError: The candidate raised or exceeded a limit.
        """
        return self._ask({"timeout_s": None} | header, payload)

    def put(self, files: Mapping[str, str | bytes]) -> None:
        """Add files, such as hidden tests, to the candidate's folder; overwrite existing ones.

        Args:
            files: Path -> content.

        Raises:
            CandidateError: The candidate exceeded a limit.
        """
        listing = {
            path: data.encode() if isinstance(data, str) else data
            for path, data in files.items()
        }
        self._ask({"op": "put", "timeout_s": None}, wire.encode(listing))

    def pytest(
        self,
        arguments: Sequence[str],
        tests: Mapping[str, str | bytes],
        expected: Collection[str] | None = None,
        timeout_s: float | None = None,
    ) -> list[str]:
        """Run pytest in the candidate's box and demand that tests pass.

        The report is made in the candidate's process: it can refuse a variant, but proves
        nothing alone. Compare answers as well.

        Args:
            arguments: Arguments of pytest, such as `["tests"]`.
            tests: Files that are put in first, path -> content: all tests, with their
                `conftest.py`; they overwrite what is there.
            expected: Node ids that must pass; None: any, as for the seed.
            timeout_s: Time limit in seconds; None: that of the task.

        Returns:
            The node ids that passed, sorted.

        Raises:
            CandidateError: An expected test is missing, skipped or failed, the report
                does not count, or a limit was exceeded.
        """
        from evolve.guard import Unproved, order_tests, passed_tests

        order = order_tests(arguments, tests)
        self.put(order.files)
        done = self.run(order.argv, order.stdin, timeout_s)
        try:
            return passed_tests(order, done.stdout, expected)
        except Unproved as error:
            log = done.stderr.decode(errors="replace")[-KEPT_LOG:]
            raise CandidateError("invalid", str(error), log) from None

    def fail(self, message: str) -> NoReturn:
        """Refuse the candidate's answer: the variant fails.

        Args:
            message: Why, for people and for prompts.

        Raises:
            CandidateError: Always, with the reason "invalid".
        """
        raise CandidateError("invalid", message)

    def _ask(
        self, header: dict[str, Any], payload: bytes
    ) -> tuple[dict[str, Any], bytes]:
        header |= {"token": secrets.token_hex(4), "drawn": self.drawn}
        self.stream.write(wire.frame(header, payload))
        self.stream.flush()
        reply, answer = wire.read_frame(self.stream)
        # skip replies to an earlier process that was killed while it waited
        while reply["token"] != header["token"]:
            reply, answer = wire.read_frame(self.stream)
        self.seconds = float(reply.get("seconds", 0.0))
        if not reply["ok"]:
            raise CandidateError(reply["reason"], reply["message"], reply["log"])
        return reply, answer

    @cached_property
    def answers(self) -> deque[bytes]:
        """Its latest answers, encoded, up to `KEPT_BYTES`: for the blame of an error."""
        return deque()

    def decoded(self, payload: bytes) -> Any:
        """Decode an answer of the candidate.

        Args:
            payload: The answer.

        Returns:
            Plain data.

        Raises:
            CandidateError: It is malformed.
        """
        self.answers.append(payload)
        self._kept_bytes += len(payload)
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self.answers.popleft())
        try:
            return wire.decode(payload)
        except wire.Malformed as error:
            raise CandidateError("refused", f"its answer: {error}") from None
