"""Real calls of functions, recorded in a sandbox while tests or a benchmark run."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from evolve.errors import UsageError
from evolve.repository.project import Project
from evolve.repository.target import Target
from evolve.sandbox import (
    CandidateFault,
    Limits,
    Pool,
    Provider,
    SandboxSpec,
    Session,
    prepare_provider,
)
from evolve.sandbox.errors import PackagesUnavailable
from evolve.sandbox.inside import wire
from evolve.text import Note

TOOLS = ("pytest", "cloudpickle")  # in the box, in addition to the project's packages
ENTRY, INPUTS = "evolve_calls.py", "evolve_inputs.bin"
_RECORDER = "evolve_inside.evolve_record"
_RECORD_S = 170.0
_MEMORY_BYTES = 2048 << 20
_MESSAGE_BYTES = 48 << 20
AS_RECORDED = -1  # instead of a seed, see `evolve_inside.evolve_calls`
LEFT_OUT = wire.encode("left out")  # the answer to an input that can't be compared
_PROBES = 32  # inputs of each recorded call that are tried for timing
_FUZZ_TRIES = 6  # of each recorded call, to see whether its answers repeat
_SLOW_S = 0.25  # a call that takes longer is not fuzzed


@dataclass(frozen=True)
class Plan:
    """What to run while calls are recorded.

    Attributes:
        tests: Arguments of pytest; empty: no tests.
        bench: A Python file and its arguments; empty: no benchmark.
        expression: Python that calls the functions; empty: none.
    """

    tests: tuple[str, ...] = ()
    bench: tuple[str, ...] = ()
    expression: str = ""


@dataclass(frozen=True)
class Recording:
    """Recorded calls, and the usable ones among them.

    Attributes:
        calls: Index of the function, and a pickle, which only a box may load.
        from_bench: How many of them come from the benchmark; they are the first ones.
        seen: Number of calls of each function.
        unrecordable: Why calls could not be recorded, with their number.
        passed: Ids of the tests that passed.
        failed: Ids of those that failed: they are not demanded of a variant.
        calling: Ids of those that passed and call a function.
        fuzzable: Numbers of the calls that inputs are fuzzed from.
        places: For each call the numbers of the arguments that change for timing.
        timed: Numbers of the calls that are timed.
        varies: Whether their inputs differ enough, so that remembering gains nothing.
        call_s: Seconds of the slowest timed call.
    """

    calls: tuple[tuple[int, bytes], ...]
    from_bench: int
    seen: tuple[int, ...]
    unrecordable: Mapping[str, int]
    passed: tuple[str, ...]
    failed: tuple[str, ...]
    calling: tuple[str, ...]
    fuzzable: tuple[int, ...] = ()
    places: tuple[tuple[int, ...], ...] = ()
    timed: tuple[int, ...] = ()
    varies: bool = True
    call_s: float = 0.0

    @property
    def inputs(self) -> bytes:
        """The recorded calls, as a file of the task."""
        places = self.places or [()] * len(self.calls)
        return wire.encode(
            [
                [index, data, list(may_change)]
                for (index, data), may_change in zip(self.calls, places, strict=True)
            ]
        )


def entry_file(target: Target) -> bytes:
    """Return the entry file of a task: the scorer calls the functions through it.

    Args:
        target: The functions.

    Returns:
        Its content.
    """
    return f'''"""Calls of the functions that variants are compared by; the scorer sends numbers."""

from pathlib import Path

from evolve_inside.evolve_calls import Calls

calls = Calls({target.functions!r}, Path(__file__).with_name("{INPUTS}"))
EVOLVE_HOOKS = {{"timed": calls}}
answer, shown, probe, timed = calls.answer, calls.shown, calls.probe, calls.timed
'''.encode()


async def record_calls(
    target: Target, project: Project, plan: Plan, sandbox: str, note: Note
) -> tuple[Recording, Project]:
    """Run tests and benchmark in a sandbox, and record the calls of functions.

    Args:
        target: The functions.
        project: Their repository.
        plan: What to run.
        sandbox: Name of a provider, or "auto".
        note: Called with messages for people.

    Returns:
        The recording, and the project with the packages that could be had.

    Raises:
        UsageError: No call could be recorded, or the program can't be imported.
        SandboxUnavailable: The sandbox does not work here.
    """
    async with _boxes(project, sandbox, note) as (pool, found):
        recording = await _record(pool, target, found, plan)
        if not recording.calls:
            raise UsageError(
                f"no call of {target.title} could be recorded" + _why(recording, plan),
                'name what calls it: --test "pytest tests/...", --bench "python FILE" or '
                "--bench-call EXPRESSION",
            )
        return await _probed(pool, target, found, recording), found


@dataclass(frozen=True)
class Hot:
    """A function that a benchmark spends time in.

    Attributes:
        path: Its file, from the import root.
        name: Its qualified name.
        share: Its own part of the time in the repository's functions, 0 to 1.
        calls: How often it was called.
        recorded: How many different calls of it could be recorded.
        tests: How many tests call it.
    """

    path: str
    name: str
    share: float
    calls: int
    recorded: int = 0
    tests: int = 0

    @property
    def title(self) -> str:
        """Module and qualified name, such as `boltons.iterutils:remap`."""
        module = self.path.removesuffix(".py").replace("/", ".")
        return f"{module.removesuffix('.__init__')}:{self.name}"


async def profile_benchmark(
    project: Project, plan: Plan, sandbox: str, note: Note
) -> list[Hot]:
    """Find the functions of a repository that a benchmark spends its time in.

    Args:
        project: The repository.
        plan: The benchmark.
        sandbox: Name of a provider, or "auto".
        note: Called with messages for people.

    Returns:
        The slowest first, by their own time.

    Raises:
        UsageError: The benchmark fails.
        SandboxUnavailable: The sandbox does not work here.
    """
    async with (
        _boxes(project, sandbox, note) as (pool, _),
        pool.session() as session,
    ):
        await session.load({**project.tests, **project.program}, _RECORDER)
        found = await _call(session, "profile", list(plan.bench), plan.expression)
    if found["error"]:
        raise UsageError(f"the benchmark fails in the sandbox: {found['error']}")
    own = [
        row
        for row in found["functions"]
        if row[0] in project.program and row[0] not in plan.bench and "<" not in row[1]
    ]
    total = sum(seconds for _, _, seconds, _ in own)
    return [
        Hot(path, name, seconds / total, calls) for path, name, seconds, calls in own
    ]


async def guarded(
    hot: Hot, target: Target, project: Project, plan: Plan, sandbox: str, note: Note
) -> Hot:
    """Find out how well recorded calls and tests guard a function.

    Args:
        hot: The function.
        target: The same, as a target.
        project: Its repository.
        plan: Benchmark and tests that may call it.
        sandbox: Name of a provider, or "auto".
        note: Called with messages for people.

    Returns:
        The function with `recorded` and `tests`.
    """
    async with _boxes(project, sandbox, note) as (pool, found):
        recording = await _record(pool, target, found, plan)
    tests = len(recording.calling)
    return replace(hot, recorded=len(recording.calls), tests=tests)


@asynccontextmanager
async def _boxes(
    project: Project, sandbox: str, note: Note
) -> AsyncIterator[tuple[Pool, Project]]:
    """Prepare boxes with the project's packages, without guessed ones if they fail."""
    guessed = project.extras
    try:
        provider = await _provider((*project.packages, *guessed), sandbox, note)
    except PackagesUnavailable as error:
        if not guessed:
            raise
        note(f"without the packages {', '.join(guessed)}: {error.message}")
        guessed = ()
        provider = await _provider(project.packages, sandbox, note)
    pool = Pool(provider, 1)
    try:
        packages = (*project.packages, *guessed)
        yield (
            pool,
            Project(project.program, project.tests, packages, (), project.left_out),
        )
    finally:
        await pool.close()


async def _provider(packages: Sequence[str], sandbox: str, note: Note) -> Provider:
    limits = Limits(
        time_s=_RECORD_S, memory_bytes=_MEMORY_BYTES, message_bytes=_MESSAGE_BYTES
    )
    spec = SandboxSpec(limits, (*packages, *TOOLS))
    return (await prepare_provider(sandbox, spec, note)).provider


async def _record(
    pool: Pool, target: Target, project: Project, plan: Plan
) -> Recording:
    files = {**project.tests, **project.program}
    arguments = [target.functions, _pytest(plan.tests), list(plan.bench)]
    async with pool.session() as session:
        with _explaining(target, "recording its calls"):
            await session.load(files, _RECORDER)
            found = await _call(session, "record", *arguments, plan.expression)
    if found["error"]:
        raise UsageError(f"the benchmark fails in the sandbox: {found['error']}")
    if plan.tests and not found["passed"]:
        raise UsageError(
            f"no test passes in the sandbox: {found['output'].strip()[-1500:]}",
            "name tests that pass: --test 'pytest tests/test_x.py'",
        )
    return Recording(
        tuple((index, data) for index, data in found["calls"]),
        found["bench"],
        tuple(found["seen"]),
        found["unrecordable"],
        tuple(found["passed"]),
        tuple(found["failed"]),
        tuple(found["calling"]),
    )


def _pytest(tests: Sequence[str]) -> list[str]:
    """Return arguments of pytest that leave out the project's own options."""
    return [*tests, "-q", "-o", "addopts="] if tests else []


async def _call(session: Session, function: str, *arguments: Any) -> Any:
    return wire.decode(await _ask(session, function, *arguments))


async def _ask(session: Session, function: str, *arguments: Any) -> bytes:
    """Return an answer as it crosses the wire."""
    reply = await session.call(function, wire.encode((list(arguments), {})))
    return reply.payload


class _explaining:
    """Context manager: a failure in the box is one of the user's program."""

    def __init__(self, target: Target, doing: str) -> None:
        self._target, self._doing = target, doing

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, CandidateFault):
            raise UsageError(
                f"{self._target.title}: {self._doing} fails in the sandbox: {error.message}",
                "name the packages that it needs in pyproject.toml, or write the task by "
                "hand: evolve init NAME",
            ) from error


def _why(recording: Recording, plan: Plan) -> str:
    if recording.unrecordable:
        reason = max(
            recording.unrecordable, key=lambda one: recording.unrecordable[one]
        )
        return f": {reason}"
    if sum(recording.seen):
        return f": its {sum(recording.seen)} calls are too large"
    ran = " and ".join(
        what
        for what, given in (
            ("the tests", plan.tests),
            ("the benchmark", plan.bench or plan.expression),
        )
        if given
    )
    return f": {ran or 'nothing'} ran, and did not call it"


async def _probed(
    pool: Pool, target: Target, project: Project, recording: Recording
) -> Recording:
    """Find out which calls repeat their answers, and which are worth timing."""
    files = {
        **project.program,
        ENTRY: entry_file(target),
        INPUTS: recording.inputs,
    }
    numbers = range(len(recording.calls))
    first = await _answers(pool, target, files, numbers)
    second = await _answers(pool, target, files, numbers)
    steady = [n for n in numbers if first[n][0] == second[n][0] != LEFT_OUT]
    if not steady:
        raise UsageError(
            f"{target.title} answers otherwise each time, so variants can't be compared",
            "name a function without chance and time in it",
        )
    kept = tuple(recording.calls[n] for n in steady)
    again = [first[n] for n in steady], [second[n] for n in steady]
    fuzzable = [
        n
        for n, (one, other) in enumerate(zip(*again, strict=True))
        if one == other and LEFT_OUT not in one
    ]
    benched = sum(n < recording.from_bench for n in steady)
    changed = Recording(**(vars(recording) | {"calls": kept, "from_bench": benched}))
    files[INPUTS] = changed.inputs
    probes = await _probes(pool, target, files, len(kept))
    timed, varies = _worth_timing(probes, benched)
    fuzzable = [n for n in fuzzable if probes[n][2] < _SLOW_S]
    more = {
        "fuzzable": tuple(fuzzable),
        "places": tuple(tuple(map(int, probe[3:])) for probe in probes),
        "timed": tuple(timed),
        "varies": varies,
        "call_s": max(probes[n][2] for n in timed),
    }
    return Recording(**(vars(changed) | more))


async def _answers(
    pool: Pool, target: Target, files: Mapping[str, bytes], numbers: Sequence[int]
) -> list[list[bytes]]:
    """Return for each call the answers as recorded, and to a few fuzzed inputs."""
    found: list[list[bytes]] = []
    async with pool.session() as session:
        with _explaining(target, "repeating its calls"):
            await session.load(files, "evolve_calls")
            for number in numbers:
                answers: list[bytes] = []
                for seed in (AS_RECORDED, *range(_FUZZ_TRIES)):
                    answers.append(await _ask(session, "answer", number, seed))
                    if answers[-1] == LEFT_OUT:
                        break
                found.append(answers)
    return found


async def _probes(
    pool: Pool, target: Target, files: Mapping[str, bytes], count: int
) -> list[list[float]]:
    async with pool.session() as session:
        with _explaining(target, "timing its calls"):
            await session.load(files, "evolve_calls")
            return [
                await _call(session, "probe", number, _PROBES)
                for number in range(count)
            ]


def _worth_timing(
    probes: Sequence[Sequence[float]], benched: int
) -> tuple[list[int], bool]:
    """Return the calls that are timed, and whether their inputs vary enough.

    Those of a benchmark come first; of tests, those that take most of the time.
    """
    answered = [n for n, probe in enumerate(probes) if probe[1] >= _PROBES * 0.9]
    varied = [n for n in answered if probes[n][0] >= _PROBES * 0.6]
    for among in (varied, answered, list(range(len(probes)))):
        chosen = [n for n in among if n < benched] or among
        if chosen:
            slowest = max(probes[n][2] for n in chosen)
            worth = [n for n in chosen if probes[n][2] >= slowest / 20]
            return worth, among is varied
    raise AssertionError("there is at least one call")
