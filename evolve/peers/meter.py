"""Requests to the program that are measured in the sandbox, and the time they charge.

A call takes the wall time that the sandbox measured, less that of a request without work; and
the same of CPU time. Besides, all CPU time that the program spends outside of its calls (while
it decodes a question, encodes an answer, or should be idle) is paid from a balance. Into it
goes the cost of transporting the same amount of data in a process without a program. An
overdraft is charged: so work in a thread, in a process, in a lazy answer, or before the
call that it belongs to, counts in full. If the evaluator has read a clock since the call, as
when an object does its work later, the next call pays.
"""

from dataclasses import dataclass, replace
from math import log2
from statistics import median
from typing import Any

from evolve.candidate import Candidate, CandidateError
from evolve.peers.clocks import Clocks, real_ns
from evolve.peers.ledger import Ledger
from evolve.sandbox.inside import wire

NOTHING = wire.encode(([], {}))
_SLACK_NS = 40_000  # cold caches of a program, and an object to look up
_LOAD_NS = 20_000_000  # that a process may wait for a processor
_CREDIT_NS = 500_000  # the most that a program may have saved
_SMALL = 4096  # bytes of data that cost the same
_REPEATS = ((_SMALL, 11), (1 << 20, 7), (1 << 62, 3))  # up to this size, as many
_STEPS = 8  # classes of size for each doubling


@dataclass(frozen=True)
class Cost:
    """Median cost of the transport of data, in nanoseconds.

    Attributes:
        size: of the data in bytes
        decode: CPU time of a request with the data
        encode: CPU time of a request for them
        pause: CPU time between two requests
        wall: wall time of a request without data and work
        cpu: its CPU time
    """

    size: int
    decode: int
    encode: int
    pause: int
    wall: int
    cpu: int

    def scaled(self, size: int) -> "Cost":
        """Return the cost for another size of the same class.

        Args:
            size: in bytes

        Returns:
            The cost.
        """
        if size <= _SMALL:
            return self
        decode, encode = (
            cost * size // self.size for cost in (self.decode, self.encode)
        )
        return replace(self, size=size, decode=decode, encode=encode)


class Transport:
    """Costs of transport, measured once for each class of data.

    Args:
        candidate: the connection to the engine
    """

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate
        self._known: dict[tuple[int, ...], Cost] = {}

    @property
    def nothing(self) -> Cost:
        """The cost of a request without data and work."""
        return self.cost(NOTHING, None)

    def cost(self, data: bytes, tree: Any) -> Cost:
        """Return the cost of transporting data.

        Args:
            data: the data as they are sent
            tree: their tree

        Returns:
            The cost of data of this class, of which the first are measured.
        """
        key = _class_of(data)
        if key not in self._known:
            self._known[key] = self._measured(data, tree)
        return self._known[key].scaled(len(data))

    def _measured(self, data: bytes, tree: Any) -> Cost:
        times = next(times for limit, times in _REPEATS if len(data) <= limit)
        header = {"op": "rehearse", "times": times}
        try:
            _, answer = self._candidate.request(header, wire.encode(([tree], {})))
        except CandidateError:  # a tree that no honest program sends
            return Cost(len(data), 0, 0, 0, 0, 0)
        found = wire.decode(answer)
        return Cost(
            len(data), **{name: int(median(all_)) for name, all_ in found.items()}
        )


def _class_of(data: bytes) -> tuple[int, ...]:
    """Return sizes of the text, of the rest, and the number of lists, in steps."""
    if len(data) <= _SMALL:
        return ()
    text = 4 + int.from_bytes(data[:4], "big")
    sizes = (text, len(data) - text, data[:text].count(b"["))
    return tuple(round(_STEPS * log2(size + 64)) for size in sizes)


@dataclass(frozen=True)
class _Call:
    """When a call began, and how far the clocks had been advanced."""

    started: int
    advanced: int


class Meter:
    """Measured requests of one process of the evaluator.

    Args:
        candidate: the connection to the engine
        clocks: the evaluator's clocks, which it advances
        ledger: what all processes of the evaluation share
    """

    def __init__(self, candidate: Candidate, clocks: Clocks, ledger: Ledger) -> None:
        self._candidate, self._clocks, self._ledger = candidate, clocks, ledger
        self._transport = Transport(candidate)
        self._call: _Call | None = None
        self._reads = 0  # of clocks before the last call

    def work(self, question: Any, counts: bool) -> Any:
        """Have a question answered, and charge its time.

        Args:
            question: its tree
            counts: whether it belongs to the times that are compared with the program's

        Returns:
            The program's reply.
        """
        self._call = _Call(real_ns(), self._clocks.advanced) if counts else None
        self._reads = self._clocks.reads
        debt, self._ledger["debt"] = self._ledger["debt"], 0
        self._clocks.advance(debt, debt)
        payload = wire.encode(([question], {}))
        cost = self._transport.cost(payload, question)
        header = {"op": "call", "function": "hold"}
        refused = self._candidate.decoded(self._candidate.request(header, payload)[1])
        self._save(cost.decode + cost.pause + _SLACK_NS)
        return self.go_on("make", None) if refused is None else refused

    def go_on(self, function: str, answer: Any) -> Any:
        """Let the program work, until it has an answer or a question.

        Args:
            function: "make" or "resume"
            answer: to its question

        Returns:
            Its reply.
        """
        payload = NOTHING if answer is None else wire.encode(([answer], {}))
        header = {"op": "call", "function": function}
        reply, _, wall, cpu = self._measured(header, payload)
        nothing = self._transport.nothing
        self._clocks.advance(
            max(wall - nothing.wall, wall // 2), max(cpu - nothing.cpu, cpu // 2)
        )
        self._settle()
        taken = None
        if isinstance(reply, list) and reply[:1] == ["done"] and len(reply) == 2:
            taken, reply = reply[1], self.look("fetch")
        elif isinstance(reply, list) and reply[:1] == ["ok"] and len(reply) == 3:
            taken = reply.pop()
        if self._call is not None and type(taken) is int:
            charged = self._clocks.advanced - self._call.advanced
            self._ledger.add_call(taken, charged, real_ns() - self._call.started)
        return reply

    def look(self, function: str, *arguments: Any) -> Any:
        """Make a request that should take no time.

        Args:
            function: of the sandbox
            *arguments: its arguments

        Returns:
            The program's reply.
        """
        payload = wire.encode((list(arguments), {}))
        header = {"op": "call", "function": function}
        reply, data, wall, cpu = self._measured(header, payload)
        self._charge_waiting(wall - cpu - self._transport.nothing.wall)
        sent = next(
            (part for part in arguments if isinstance(part, (list, bytes))), None
        )
        got = reply[1] if isinstance(reply, list) and len(reply) == 2 else None
        self._save(self._transport.cost(payload, sent).decode)
        self._save(self._transport.cost(data, got).encode - self._transport.nothing.cpu)
        self._spend(cpu)
        self._settle()
        return reply

    def run(
        self, argv: list[str], stdin: bytes, timeout_s: float | None, folder: str
    ) -> tuple[int, bytes, bytes]:
        """Run a command; its CPU time is not that of the evaluator's process.

        Args:
            argv: the command
            stdin: its input
            timeout_s: limit in seconds; None for that of the program
            folder: where it runs, below that of the program

        Returns:
            Exit code, stdout and stderr.
        """
        header = {
            "op": "run",
            "argv": argv,
            "timeout_s": timeout_s,
            "folder": folder,
        }
        reply, answer, wall, _ = self._sent(header, stdin)
        nothing = self._transport.nothing
        self._clocks.advance(max(wall - nothing.wall, wall // 2), 0)
        self._settle()
        stdout, stderr = self._candidate.decoded(answer)
        return int(reply["exit"]), stdout, stderr

    def _measured(
        self, header: dict[str, Any], payload: bytes
    ) -> tuple[Any, bytes, int, int]:
        _, answer, wall, cpu = self._sent(header, payload)
        return self._candidate.decoded(answer), answer, wall, cpu

    def _sent(
        self, header: dict[str, Any], payload: bytes
    ) -> tuple[dict[str, Any], bytes, int, int]:
        reply, answer = self._candidate.request(header | {"measured": True}, payload)
        wall, before, after = reply["measured"]
        self._save(self._transport.nothing.pause + _SLACK_NS)
        if self._ledger["seen"]:
            self._spend(max(before - self._ledger["seen"], 0))
        self._ledger["seen"] = after
        return reply, answer, wall, max(after - before, 0)

    def _save(self, cpu_ns: int) -> None:
        self._ledger["balance"] += cpu_ns

    def _spend(self, cpu_ns: int) -> None:
        self._ledger["balance"] -= cpu_ns

    def _charge_waiting(self, waited_ns: int) -> None:
        """Charge a lazy answer that waits while it is encoded; load explains a little."""
        if waited_ns <= _LOAD_NS:
            return
        if self._clocks.reads == self._reads:
            self._clocks.advance(waited_ns, 0)
        else:  # the time of the last call has been taken
            self._ledger["debt"] += waited_ns

    def _settle(self) -> None:
        """Charge an overdraft; the program keeps little of its savings."""
        balance = self._ledger["balance"]
        if balance < 0 and self._clocks.reads == self._reads:
            self._clocks.advance(-balance, -balance)
        elif balance < 0:  # the time of the last call has been taken
            self._ledger["debt"] -= balance
        self._ledger["balance"] = min(max(balance, 0), _CREDIT_NS)
