"""The contract of a sandbox provider as a test class: subclass it and run pytest.

    class TestMine(SandboxContract):
        def make_provider(self, spec):
            return MyProvider(spec)

A separate suite tests that hostile code can't escape (`tests/security`).
"""

import asyncio
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from evolve.sandbox.errors import CandidateFault, ProviderFault, Reason, SandboxError
from evolve.sandbox.inside import wire
from evolve.sandbox.limits import MIB, Limits
from evolve.sandbox.pool import Pool
from evolve.sandbox.provider import Provider, SandboxSpec
from evolve.sandbox.rootfs import interpreter
from evolve.sandbox.session import Measured, Session

LIMITS = Limits(
    time_s=10.0, memory_bytes=256 * MIB, output_bytes=MIB, disk_bytes=16 * MIB
)
SPEC = SandboxSpec(LIMITS, packages=("numpy",))
_T = TypeVar("_T")


@dataclass(frozen=True)
class Outcome:
    """The result of one candidate.

    Attributes:
        value: Its answer.
        fault: Its fault, if it had one.
        clean: Whether the server proved that nothing of the candidate is left.
    """

    value: Any = None
    fault: CandidateFault | None = None
    clean: bool = False

    @property
    def reason(self) -> Reason | None:
        """The reason of the fault; None without one."""
        return self.fault.reason if self.fault else None


@asynccontextmanager
async def opened(provider: Provider, size: int = 1) -> AsyncIterator[Pool]:
    """Prepare a provider and yield a pool on it, which is closed at the end.

    Args:
        provider: The provider.
        size: Maximum number of live candidates.

    Yields:
        The pool.
    """
    pool = Pool(provider, size)
    try:
        await provider.prepare(lambda line: None)
        yield pool
    finally:
        await pool.close()


async def ask(
    session: Session, function: str, *args: Any, timeout_s: float | None = None
) -> Any:
    """Call a function of the candidate and decode its answer.

    Args:
        session: A session with a loaded candidate.
        function: Name of the function.
        *args: Its arguments.
        timeout_s: Time limit; None: that of the session.

    Returns:
        The answer.

    Raises:
        CandidateFault: The candidate failed.
        ProviderFault: The machine failed.
    """
    reply = await session.call(function, wire.encode((list(args), {})), timeout_s)
    return wire.decode(reply.payload)


async def attempt(
    pool: Pool,
    source: str | Mapping[str, bytes],
    *args: Any,
    timeout_s: float | None = None,
) -> Outcome:
    """Run one candidate: load it as `candidate`, call its function `answer`, end it.

    Args:
        pool: The pool to run it in.
        source: Text of `candidate.py`, or all files by path.
        *args: Arguments of `answer`.
        timeout_s: Time limit of each step; None: that of the pool.

    Returns:
        The answer or the candidate's fault.

    Raises:
        ProviderFault: The machine failed.
    """
    files = {"candidate.py": source.encode()} if isinstance(source, str) else source
    value: Any = None
    fault: CandidateFault | None = None
    async with pool.session() as session:
        try:
            await session.load(files, "candidate", timeout_s)
            value = await ask(session, "answer", *args, timeout_s=timeout_s)
        except CandidateFault as error:
            fault = error
        await session.end()
    return Outcome(value, fault, session.clean)


class SandboxContract(ABC):
    """The contract of every provider. Each test starts new boxes."""

    @abstractmethod
    def make_provider(self, spec: SandboxSpec) -> Provider:
        """Return the provider under test, not yet prepared.

        Args:
            spec: The requirements of the test.

        Returns:
            The provider.
        """

    def with_pool(
        self,
        work: Callable[[Pool], Awaitable[_T]],
        spec: SandboxSpec = SPEC,
        size: int = 1,
    ) -> _T:
        """Run work on a pool of this provider.

        Args:
            work: Called with the pool.
            spec: The requirements of the test.
            size: Maximum number of live candidates.

        Returns:
            The result of `work`.
        """

        async def run() -> _T:
            async with opened(self.make_provider(spec), size) as pool:
                return await work(pool)

        return asyncio.run(run())

    def with_session(self, source: str, work: Callable[[Session], Awaitable[_T]]) -> _T:
        """Run work on one loaded candidate.

        Args:
            source: Text of `candidate.py`.
            work: Called with the session.

        Returns:
            The result of `work`.
        """

        async def run(pool: Pool) -> _T:
            async with pool.session() as session:
                await session.load({"candidate.py": source.encode()}, "candidate")
                return await work(session)

        return self.with_pool(run)

    def outcome(
        self,
        source: str | Mapping[str, bytes],
        *args: Any,
        timeout_s: float | None = None,
    ) -> Outcome:
        """Run one candidate, then check that another one works in the same pool.

        Args:
            source: Text of `candidate.py`, or all files by path.
            *args: Arguments of `answer`.
            timeout_s: Time limit of each step; None: that of the pool.

        Returns:
            The result of the first candidate.
        """

        async def run(pool: Pool) -> Outcome:
            result = await attempt(pool, source, *args, timeout_s=timeout_s)
            assert (await attempt(pool, "def answer(): return 42")).value == 42
            return result

        return self.with_pool(run)

    def expect_fault(
        self,
        source: str,
        reason: Reason,
        message: str = "",
        log: str = "",
        timeout_s: float | None = None,
    ) -> None:
        """Check the fault of one candidate.

        Args:
            source: Its text.
            reason: The reason of its fault.
            message: A part of the message.
            log: A part of the log.
            timeout_s: Time limit of loading and of the call; None: that of `LIMITS`.
        """
        fault = self.outcome(source, timeout_s=timeout_s).fault
        assert fault is not None and fault.reason is reason
        assert message in fault.message and log in fault.log

    def test_a_function_is_called_with_its_arguments(self) -> None:
        """Positional arguments reach the function, and its result is returned."""
        assert self.outcome("def answer(a, b): return a + b", 40, 2).value == 42

    def test_one_live_candidate_answers_many_calls_and_keeps_its_state(self) -> None:
        """A module-level list keeps its items over 20 calls of one session."""

        async def work(session: Session) -> list[Any]:
            return [await ask(session, "answer", step) for step in range(20)]

        source = "seen = []\ndef answer(x):\n    seen.append(x)\n    return sum(seen)"
        assert self.with_session(source, work) == [sum(range(n + 1)) for n in range(20)]

    def test_values_come_back_as_they_were_sent(self) -> None:
        """Nested lists, dicts, tuples, texts and bytes are equal after both ways."""
        value: dict[Any, Any] = {
            "a": [1, -2.5, True, None, "é\n\0", b"\0\xff"],
            (1, "x"): {"": ()},
            7: [[]],
        }
        assert self.outcome("def answer(x): return x", value).value == value

    def test_arrays_cross_both_ways(self) -> None:
        """A float32 array keeps its data type and shape in both directions."""
        import numpy

        source = "import numpy\ndef answer(x): return numpy.asarray(x) * 2, x.dtype.str, x.shape"
        sent = numpy.arange(12, dtype="<f4").reshape(3, 4)
        spec = SandboxSpec(LIMITS, SPEC.packages, preload=("numpy",))
        doubled, dtype, shape = self.with_pool(
            lambda pool: attempt(pool, source, sent), spec
        ).value
        assert (doubled == sent * 2).all() and doubled.dtype == sent.dtype
        assert (dtype, shape) == ("<f4", (3, 4))

    def test_a_large_message_crosses_both_ways(self) -> None:
        """Arguments and results of 8 MiB are transferred."""
        data = bytes(range(256)) * (8 * MIB // 256)
        assert self.outcome("def answer(x): return x[::-1]", data).value == data[::-1]

    def test_files_in_folders_are_there(self) -> None:
        """A candidate imports from its packages and reads its data files."""
        files = {
            "candidate.py": b"from pack.deep import word\n"
            b"def answer(): return word + open('data/a b.txt').read()",
            "pack/__init__.py": b"",
            "pack/deep.py": b"word = 'read '",
            "data/a b.txt": "äöü".encode(),
        }
        assert self.outcome(files).value == "read äöü"

    def test_many_files_are_no_matter(self) -> None:
        """A candidate with 3,000 data files is loaded."""
        files = {f"data/{n:05}.txt": b"x" for n in range(3000)}
        files["candidate.py"] = (
            b"import os\ndef answer(): return len(os.listdir('data'))"
        )
        assert self.outcome(files).value == 3000

    def test_a_command_runs_with_input_and_files(self) -> None:
        """A script of the candidate gets its input; both outputs and the status are returned."""

        async def work(pool: Pool) -> tuple[Any, Any]:
            async with pool.session() as session:
                script = (
                    f"#!{interpreter()}\nimport sys\nprint(sys.stdin.read()[::-1], end='')\n"
                    "print('warned', file=sys.stderr)\nsys.exit(3)"
                )
                await session.load({"bin/tool": script.encode()}, None)
                reply = await session.run(["bin/tool"], b"abc")
                return wire.decode(reply.payload), reply.exit

        (output, errors), status = self.with_pool(work)
        assert (output, errors, status) == (b"cba", b"warned\n", 3)

    def test_a_command_that_prints_too_much_is_ended(self) -> None:
        """The output limit also applies to commands."""

        async def work(pool: Pool) -> Reason:
            async with pool.session() as session:
                await session.load({"spam.py": b"while True: print('x' * 1000)"}, None)
                return await _reason(session.run([interpreter(), "spam.py"]))

        assert self.with_pool(work) is Reason.OUTPUT

    def test_an_exception_is_told_and_the_candidate_lives_on(self) -> None:
        """The fault has the exception and its line; the next call works."""

        async def work(session: Session) -> tuple[CandidateFault, Any]:
            return await _fault(ask(session, "answer", 0)), await ask(
                session, "answer", 4
            )

        fault, later = self.with_session("def answer(x): return 8 / x", work)
        assert fault.reason is Reason.EXCEPTION and "ZeroDivisionError" in fault.message
        assert "candidate.py" in fault.log and "line 1" in fault.log
        assert later == 2.0

    def test_a_file_that_does_not_compile_is_an_exception(self) -> None:
        """A syntax error is a fault of the candidate with reason EXCEPTION."""
        self.expect_fault("def answer(:", Reason.EXCEPTION, "SyntaxError")

    def test_a_missing_function_is_an_exception(self) -> None:
        """The fault names the function that the candidate does not define."""
        self.expect_fault("x = 1", Reason.EXCEPTION, "answer")

    def test_a_time_out_belongs_to_one_call_and_ends_the_candidate(self) -> None:
        """After a call over its own limit, further calls fail with TIMEOUT, too."""

        async def work(session: Session) -> list[Reason]:
            await ask(session, "answer", 0.3, timeout_s=5)
            first = await _reason(ask(session, "answer", 30, timeout_s=0.3))
            return [first, await _reason(ask(session, "answer", 0))]

        source = "import time\ndef answer(s):\n    print('asleep', flush=True)\n    time.sleep(s)"
        assert self.with_session(source, work) == [Reason.TIMEOUT, Reason.TIMEOUT]

    def test_a_time_out_while_loading_is_told(self) -> None:
        """The time limit also applies while the module is loaded."""
        self.expect_fault("while True: pass", Reason.TIMEOUT, timeout_s=0.5)

    def test_too_much_memory_is_told(self) -> None:
        """An allocation over the memory limit has the reason MEMORY."""
        source = "def answer(): return len(bytearray(1 << 30))"
        self.expect_fault(source, Reason.MEMORY)

    def test_the_kernel_kills_it_before_the_server(self) -> None:
        """When memory runs out, the candidate is the first that the kernel chooses."""
        source = "def answer(): return int(open('/proc/self/oom_score_adj').read())"
        assert self.outcome(source).value == 1000

    def test_too_much_printing_is_told_with_its_tail(self) -> None:
        """Output over the limit has the reason OUTPUT; the log has its end."""
        source = "def answer():\n    while True: print('spam' * 100)"
        self.expect_fault(source, Reason.OUTPUT, log="spam")

    def test_a_crash_is_told_with_the_tail_of_the_log(self) -> None:
        """A crash by a signal names the signal, and the log has the last output."""
        source = (
            "import os\nprint('last words', flush=True)\n"
            "def answer(): os.kill(os.getpid(), 11)"
        )
        self.expect_fault(source, Reason.CRASH, "SIGSEGV", "last words")

    def test_calls_are_measured_outside_of_the_candidate(self) -> None:
        """The time of held calls is wall and CPU time, without decoding of arguments."""
        source = (
            "import time\ntime.perf_counter = time.process_time = lambda: 0.0\n"
            "def answer(seconds, loops):\n"
            "    time.sleep(seconds)\n    return sum(i * i for i in range(loops))"
        )

        async def work(session: Session) -> list[Measured]:
            found = []
            for arguments in ((0.0, 10), (0.2, 10), (0.0, 300_000)):
                calls = wire.encode([[list(arguments), {}]] * 2)
                await session.hold("answer", calls)
                found.append(await session.go())
            return found

        nothing, asleep, busy = self.with_session(source, work)
        assert wire.decode(nothing.payload) == [sum(i * i for i in range(10))] * 2
        assert asleep.wall_ns > 0.4e9 and asleep.after_ns - asleep.before_ns < 0.1e9
        spent = busy.after_ns - busy.before_ns
        assert spent > 5 * (nothing.after_ns - nothing.before_ns)
        assert 0.5 * spent < busy.wall_ns

    def test_work_between_measured_calls_is_seen(self) -> None:
        """CPU time of threads and processes that go on in between is counted."""
        source = (
            "import os, threading, time\n"
            "def spin(seconds):\n"
            "    end = time.thread_time() + seconds\n"
            "    while time.thread_time() < end: pass\n"
            "def answer(how):\n"
            "    if how == 'thread':\n"
            "        threading.Thread(target=spin, args=(0.3,), daemon=True).start()\n"
            "    elif how == 'process' and os.fork() == 0:\n"
            "        spin(0.3)\n        os._exit(0)\n"
            "    return how"
        )

        async def work(session: Session) -> list[int]:
            between = []
            for how in ("nothing", "thread", "process"):
                await session.hold("answer", wire.encode([[[how], {}]]))
                first = await session.go()
                await asyncio.sleep(2.0)  # other load may slow it down
                await session.hold("answer", wire.encode([[["nothing"], {}]]))
                second = await session.go()
                between.append(second.before_ns - first.after_ns)
            return between

        nothing, thread, process = self.with_session(source, work)
        assert nothing < 0.05e9
        assert thread > 0.1e9 and process > 0.1e9

    def test_a_measured_call_that_fails_has_its_reason(self) -> None:
        """An exception, a crash and a time-out are told as for other calls."""
        source = (
            "import os, time\n"
            "def answer(how):\n"
            "    if how == 'raise': raise ValueError('no')\n"
            "    if how == 'sleep': time.sleep(30)\n"
            "    os._exit(3)"
        )
        expected = {
            "raise": Reason.EXCEPTION,
            "sleep": Reason.TIMEOUT,
            "exit": Reason.CRASH,
        }

        async def fails(session: Session, how: str) -> Reason:
            await session.hold("answer", wire.encode([[[how], {}]]))
            return await _reason(session.go(timeout_s=1.0))

        for how, reason in expected.items():
            found = self.with_session(source, partial(fails, how=how))
            assert found is reason, how

    def test_two_lives_of_one_candidate_leave_the_same_log(self) -> None:
        """Messages and logs do not depend on addresses of objects or on paths."""
        source = "def answer():\n    print(object())\n    raise ValueError(object())"

        async def run(pool: Pool) -> list[Outcome]:
            return [await attempt(pool, source) for _ in range(2)]

        first, second = self.with_pool(run)
        assert first.fault and second.fault
        assert (first.fault.message, first.fault.log) == (
            second.fault.message,
            second.fault.log,
        )
        assert 'File "candidate.py", line 3' in first.fault.log

    def test_an_early_exit_is_a_crash(self) -> None:
        """An exit with status 0 in a call has the reason CRASH."""
        self.expect_fault(
            "import os\ndef answer(): os._exit(0)", Reason.CRASH, "status 0"
        )

    def test_an_answer_that_may_not_cross_is_refused(self) -> None:
        """Values that can't be encoded, such as objects, sets or NaN, have the reason REFUSED."""

        async def work(session: Session) -> list[Reason]:
            return [
                await _reason(ask(session, "answer", expression))
                for expression in (
                    "object()",
                    "1j",
                    "float('nan')",
                    "{1, 2}",
                    "print",
                    "[[[1e999]]]",
                )
            ]

        source = "def answer(expression): return eval(expression)"
        assert set(self.with_session(source, work)) == {Reason.REFUSED}

    def test_prints_go_to_the_log_and_never_into_the_protocol(self) -> None:
        """Output on both standard streams is in the log, and the result is intact."""

        async def work(session: Session) -> tuple[Any, str]:
            value = await ask(session, "answer")
            return value, (await session.end()).log

        source = (
            "import os, sys\ndef answer():\n    print('a print')\n    os.write(1, b'raw')\n"
            "    sys.stderr.write('error')\n    os.system('true')\n    return 'answered'"
        )
        value, log = self.with_session(source, work)
        assert value == "answered"
        assert "a print" in log and "raw" in log and "error" in log

    def test_what_was_used_is_measured_outside(self) -> None:
        """Processor seconds and peak memory in bytes match the work of the candidate."""

        async def work(session: Session) -> tuple[float, int]:
            await ask(session, "answer")
            usage = await session.end()
            return usage.cpu_s, usage.peak_memory_bytes

        source = (
            "import time\ndef answer():\n    block = bytearray(100 << 20)\n"
            "    block[::4096] = b'x' * len(block[::4096])\n"
            "    end = time.process_time() + 0.4\n    while time.process_time() < end: pass"
        )
        cpu_s, peak = self.with_session(source, work)
        assert 0.3 < cpu_s < 5 and 100 * MIB < peak < 256 * MIB

    def test_each_candidate_starts_in_an_empty_place(self) -> None:
        """Neither files nor the state of the random generator remain from earlier candidates."""

        async def work(pool: Pool) -> list[Any]:
            source = (
                "import os, random\nopen('mine', 'w').close()\n"
                "def answer(): return sorted(os.listdir('.')), random.random()"
            )
            return [(await attempt(pool, source)).value for _ in range(3)]

        seen = self.with_pool(work)
        assert all(files == ["candidate.py", "mine"] for files, _ in seen)
        assert len({number for _, number in seen}) == 3

    def test_a_candidate_may_have_the_name_of_a_loaded_module(self) -> None:
        """Candidate files may have the same names as the server's modules."""
        files = {
            "candidate.py": b"import wire, child\ndef answer(): return wire.mine + child.mine",
            "wire.py": b"mine = 40",
            "child.py": b"mine = 2",
        }
        assert self.outcome(files).value == 42

    def test_names_that_lead_out_of_the_folder_are_refused(self) -> None:
        """Absolute, upward, empty, malformed and overlong paths have the reason REFUSED."""

        async def work(pool: Pool) -> list[Reason]:
            names = [
                "../out.py",
                "/tmp/out.py",
                "a/../../out.py",
                "",
                ".",
                "a//b",
                "a/",
                "a\0b",
                "x\ud800",
                "x" * 300,
            ]
            async with pool.session() as session:
                return [
                    await _reason(session.load({name: b"x"}, None)) for name in names
                ]

        assert set(self.with_pool(work)) == {Reason.REFUSED}

    def test_two_candidates_live_at_a_time(self) -> None:
        """Two sessions at once keep separate states."""

        async def work(pool: Pool) -> list[Any]:
            source = (
                b"kept = []\ndef answer(x):\n    kept.append(x)\n    return list(kept)"
            )
            async with pool.session() as one, pool.session() as two:
                for session in (one, two):
                    await session.load({"candidate.py": source}, "candidate")
                await asyncio.gather(ask(one, "answer", 1), ask(two, "answer", 2))
                return [await ask(one, "answer", 3), await ask(two, "answer", 4)]

        assert self.with_pool(work, size=2) == [[1, 3], [2, 4]]

    def test_the_pool_never_has_more_alive_than_its_size(self) -> None:
        """Of six sessions on a pool of size 2, at most two are alive at once."""

        async def work(pool: Pool) -> int:
            alive = most = 0

            async def live() -> None:
                nonlocal alive, most
                async with pool.session():
                    alive += 1
                    most = max(most, alive)
                    await both.wait()
                    alive -= 1

            both = asyncio.Barrier(2)
            await asyncio.gather(*(live() for _ in range(6)))
            return most

        assert self.with_pool(work, size=2) == 2

    def test_fresh_gives_every_candidate_a_box_of_its_own(self) -> None:
        """With `fresh`, each of three boxes is discarded after its candidate."""

        async def work(pool: Pool) -> tuple[list[Any], int]:
            values = [
                (await attempt(pool, f"def answer(): return {n}")).value
                for n in range(3)
            ]
            return values, pool.counts.discarded

        spec = SandboxSpec(LIMITS, SPEC.packages, fresh=True)
        assert self.with_pool(work, spec) == ([0, 1, 2], 3)

    def test_a_box_that_is_lost_is_the_machines_fault(self) -> None:
        """A box that is killed during a call raises `ProviderFault` with a message."""

        async def work(pool: Pool) -> ProviderFault:
            box = await pool.provider.start()
            session = Session(box, LIMITS)
            session.begin()
            await session.load(
                {"candidate.py": b"import time\nanswer = time.sleep"}, "candidate"
            )
            call = asyncio.create_task(ask(session, "answer", 30))
            await asyncio.sleep(0.1)
            await box.kill()
            try:
                await call
            except ProviderFault as fault:
                await session.end()
                return fault
            raise AssertionError("a lost box gave an answer")

        assert self.with_pool(work).message

    def test_the_interpreter_is_the_engines_own(self) -> None:
        """The candidate runs on the same Python version as the engine."""
        source = "import sys\ndef answer(): return list(sys.version_info[:3])"
        assert self.outcome(source).value == list(sys.version_info[:3])


QUICK = (
    SandboxContract.test_a_function_is_called_with_its_arguments,
    SandboxContract.test_arrays_cross_both_ways,
    SandboxContract.test_a_command_runs_with_input_and_files,
    SandboxContract.test_a_time_out_belongs_to_one_call_and_ends_the_candidate,
    SandboxContract.test_too_much_memory_is_told,
    SandboxContract.test_too_much_printing_is_told_with_its_tail,
    SandboxContract.test_an_answer_that_may_not_cross_is_refused,
    SandboxContract.test_each_candidate_starts_in_an_empty_place,
    SandboxContract.test_names_that_lead_out_of_the_folder_are_refused,
)


def broken_promises(make_provider: Callable[[SandboxSpec], Provider]) -> list[str]:
    """Run the quick part of the contract; takes seconds.

    Args:
        make_provider: Makes the provider under test from a spec.

    Returns:
        One text per promise that does not hold; empty if all hold.
    """

    class Contract(SandboxContract):
        def make_provider(self, spec: SandboxSpec) -> Provider:
            return make_provider(spec)

    broken = []
    for promise in QUICK:
        try:
            promise(Contract())
        except (AssertionError, SandboxError) as error:
            words = promise.__name__.removeprefix("test_").replace("_", " ")
            broken.append(f"{words}: {error}" if str(error) else words)
    return broken


async def _fault(work: Awaitable[object]) -> CandidateFault:
    try:
        await work
    except CandidateFault as fault:
        return fault
    raise AssertionError("no fault was raised")


async def _reason(work: Awaitable[object]) -> Reason:
    return (await _fault(work)).reason
