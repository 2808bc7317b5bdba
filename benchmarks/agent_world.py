"""The $0 world without a sandbox: agents that change agents, in one process, in seconds.

The code of the agents, their shell commands, the operator `agentic`, the validity check, grading
and the policies over a real snapshot are those of the engine and the task; proxy and archive are
left out. The prompt context is the parent's cases and earlier attempts on it. Only commands of the
scripted model run, so isolation is not needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from evolve.agents.validity import FILE, TOY
from evolve.archive import (
    CallPurpose,
    Evaluation,
    Frame,
    Proposal,
    Snapshot,
    State,
    derive_id,
)
from evolve.engine.decisions import plan_proposals
from evolve.engine.proposer import DUPLICATE
from evolve.operators import (
    Attempt,
    Child,
    Context,
    Parent,
    PromptContext,
    Rejected,
    Reply,
)
from evolve.operators.agentic import Agentic
from evolve.operators.checks import check_child
from evolve.search import Evaluate, Expand, Policy, Stop
from evolve.search.hgm import ALPHA
from evolve.tasks import AgentTask, EpisodeResult, EpisodeUsage, Task
from tests.agents.world import answer

TASK = Path(__file__).parents[1] / "tests" / "tasks" / "agent_world"
CALLS_EACH = 22  # approximate model calls per agent of hgm
EACH = 5  # search cases of a kind; the held-out cases are those of the task
Files = Mapping[str, bytes]


def load_scorer() -> Any:
    """Import the task's evaluate.py."""
    spec = importlib.util.spec_from_file_location(
        "agent_world_scorer", TASK / "evaluate.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCORER = load_scorer()
_SHELL: dict[
    tuple[str, tuple[tuple[str, bytes], ...]], tuple[bytes, int, dict[str, bytes]]
] = {}
_KNOWN: dict[tuple[tuple[tuple[str, bytes], ...], str], Evaluation] = {}


def episode(steps: int, agent: Files, work: AgentTask) -> EpisodeResult:
    """Run an agent's code in a temporary folder, with the scripted model instead of HTTP."""
    log, used = io.StringIO(), [0]
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(log):
        folder = Path(name)
        write(folder / "agent", agent)
        write(folder / "work", work.files)
        (folder / "statement.md").write_text(work.statement)
        try:
            with as_an_agent(folder):
                imported(folder / "agent", steps, used).main()
        except SyntaxError as error:
            return EpisodeResult(reason="crash", message=str(error))
        return EpisodeResult(
            read(folder / "work"), log=log.getvalue(), used=EpisodeUsage(steps=used[0])
        )


@contextlib.contextmanager
def as_an_agent(folder: Path) -> Iterator[None]:
    """Set the working directory and the statement of an agent in this process."""
    os.environ["EVOLVE_STATEMENT"] = str(folder / "statement.md")
    try:
        with contextlib.chdir(folder / "work"):
            yield
    finally:
        del os.environ["EVOLVE_STATEMENT"]


def write(folder: Path, files: Files) -> None:
    """Write a tree."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def read(folder: Path) -> dict[str, bytes]:
    """Read a tree."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def imported(folder: Path, steps: int, used: list[int]) -> Any:
    """Import the modules of an agent; `model.ask` asks the scripted model."""
    for name in ("model", "tools", "merge", "agent"):
        module: Any = ModuleType(name)
        path = folder / f"{name}.py"
        module.__file__ = str(path)
        sys.modules[name] = module
        exec(compiled(path.read_text(), path.name), module.__dict__)
        if name == "tools":
            module.subprocess = SimpleNamespace(**vars(subprocess) | {"Popen": shell})
        if name == "model":
            module.ask = partial(ask, steps, used, module.Stopped)
    return sys.modules["agent"]


compiled = functools.cache(partial(compile, mode="exec", flags=0, dont_inherit=True))


def shell(command: list[str], **_: Any) -> Any:
    """Run a command of an agent; the same command in an equal folder is run once."""
    folder = Path.cwd()
    key = (command[-1], tuple(read(folder).items()))
    if key not in _SHELL:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        _SHELL[key] = done.stdout, done.returncode, read(folder)
    output, status, files = _SHELL[key]
    for path in read(folder).keys() - files.keys():
        (folder / path).unlink()
    write(folder, files)
    return SimpleNamespace(
        communicate=lambda timeout: (output, None), returncode=status
    )


def ask(
    steps: int,
    used: list[int],
    stopped: type[Exception],
    messages: list[dict[str, str]],
    repeats: int = 0,
) -> str:
    """Return the scripted model's answer, within the steps of a case."""
    if used[0] >= steps:
        raise stopped("steps_exhausted")
    used[0] += 1
    return answer(messages)


class Limit(NamedTuple):
    """The limit of a run: a number of "evaluations" (of cases) or "calls" (of the model)."""

    size: int
    unit: str

    @property
    def variants(self) -> int:
        """Approximate number of agents that `hgm` makes; from there its draws are greedy."""
        return round(
            self.size**ALPHA if self.unit == "evaluations" else self.size / CALLS_EACH
        )


class Step(NamedTuple):
    """A new agent: the effort until then, and its held-out rate."""

    evaluations: int
    calls: int
    heldout: float


class Open(NamedTuple):
    """A decision in flight, with the prompt context as of the decision."""

    number: int
    decision: Evaluate | Expand
    made: Proposal
    rng: np.random.Generator


@dataclass
class Search:
    """One run of one policy.

    Attributes:
        ahead: Decisions in flight at a time.
        told: Whether earlier attempts are shown to the model.
        turned_away: Proposals that were paid for without a new agent: unchanged or duplicate.
        lost_calls: Model calls of these.
    """

    task: Task
    policy: Policy
    seed: int
    limit: Limit
    ahead: int = 1
    told: bool = True
    evaluations: int = 0
    calls: int = 0
    proposals: int = 0
    turned_away: int = 0
    lost_calls: int = 0
    trees: dict[str, Files] = field(default_factory=dict)
    rows: dict[str, list[Evaluation]] = field(default_factory=dict)
    ended: dict[str, Attempt] = field(default_factory=dict)
    made: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.search = [case for case in SCORER.cases(EACH) if case["split"] == "search"]
        self.heldout = [case for case in SCORER.cases() if case["split"] == "heldout"]
        self.by_id = {case["id"]: case for case in self.search}
        self.snapshot = Snapshot(
            True, Frame(tuple(self.by_id), budget=self.limit.variants)
        )

    @property
    def used(self) -> int:
        """Effort so far, in the unit of the limit."""
        return self.evaluations if self.limit.unit == "evaluations" else self.calls

    def run(self) -> float:
        """Run until the limit; return the held-out rate of the agent that is picked."""
        first = Proposal(
            derive_id(self.seed, 0), 0, State.SCORED, "seed", (), 0, 0.0, tree="world"
        )
        self._add(first, self.task.seed, 6)
        under_way: list[Open] = []
        number = 1
        while self.used < self.limit.size:
            while len(under_way) < self.ahead:
                under_way.append(self._decided(number))
                number += 1
            one = under_way.pop(0)
            (self._evaluate if isinstance(one.decision, Evaluate) else self._expand)(
                one
            )
        best = self.snapshot.best()
        assert best is not None
        return self._rate(self.trees[best.id])

    def _decided(self, number: int) -> Open:
        """Decide as the engine does: proposals in flight count at once."""
        rng = np.random.default_rng([self.seed, number])
        decision = self.policy.decide(self.snapshot, rng)
        assert not isinstance(decision, Stop)
        (planned,) = plan_proposals(
            decision, self.seed, number, self.snapshot, shows=Agentic.shows
        )
        if isinstance(decision, Evaluate):
            self.snapshot.expect_evaluation(planned)
        else:
            self.snapshot.expect(planned.parents)
        return Open(number, decision, planned, rng)

    def _evaluate(self, one: Open) -> None:
        decision = one.decision
        assert isinstance(decision, Evaluate)
        row = self._row(
            self.trees[decision.variant], self.by_id[decision.case], decision.attempt
        )
        self.rows[decision.variant].append(row)
        self.snapshot.observe(decision.variant, [row])
        self._count([row])

    def _expand(self, one: Open) -> None:
        decision, before = one.decision, self.calls
        assert isinstance(decision, Expand)
        made = replace(one.made, state=State.SCORED, tree="world")
        self.proposals += 1
        try:
            child = asyncio.run(self._child(one))
        except Rejected as why:
            self.ended[made.id] = Attempt(why.note, f"{why.reason}: {why.message}")
            self._turned_away(made, why, self.calls - before)
            return
        scored = self._add(made, child.files, decision.cases or len(self.search))
        better = (scored.improvement or 0.0) > 0.0
        self.ended[made.id] = Attempt(child.note, "better" if better else "not better")

    def _turned_away(self, made: Proposal, why: Rejected, calls: int) -> None:
        """Count a rejection: an invalid child costs an evaluation, a known one its calls."""
        if why.reason == "invalid":
            self.evaluations += 1
            self.snapshot.fail(replace(made, state=State.FAILED, tree=None))
            return
        self.turned_away += 1
        self.lost_calls += calls
        self.snapshot.release(made.parents)
        self.snapshot.record_rejection(replace(made, state=State.REJECTED, tree=None))

    async def _child(self, one: Open) -> Child:
        """Make a child with the engine's operator and checks, and one repair.

        Raises:
            Rejected: There is no valid new child.
        """
        parent = one.made.parents[0]
        shown = Parent(
            self.snapshot.proposal(parent),
            self.trees[parent],
            self.snapshot.score_of(parent),
            self.rows[parent],
        )
        attempts = tuple(
            self.ended[name] for name in one.made.decision.attempts if self.told
        )
        draw = int(one.rng.integers(1 << 31))

        async def model(purpose: CallPurpose, messages: list[dict[str, str]]) -> Reply:
            self.calls += 1
            return Reply(answer(messages, draw + (purpose is CallPurpose.REPAIR)))

        async def let_work(_: int, editor: Files, work: AgentTask) -> EpisodeResult:
            return self._episode(editor, work)

        context = Context(
            self.task,
            (shown,),
            one.rng,
            PromptContext(attempts=attempts),
            ask=model,
            let_work=let_work,
        )
        try:
            return await self._checked(context)
        except Rejected as why:
            if why.reason == "invalid":
                raise
            again = replace(context, repair=why.message)
            if self.told:
                known = Attempt(why.note, f"{why.reason}: {why.message}")
                again = replace(
                    again,
                    known=why.reason == DUPLICATE,
                    prompt_context=PromptContext(attempts=(known, *attempts)),
                )
            return await self._checked(again)

    async def _checked(self, context: Context) -> Child:
        child = await Agentic().propose(context)
        try:
            await check_child(self.task, context.parents, child)
            if child.files in self.trees.values():
                raise Rejected(DUPLICATE, "it is there already")
            if (
                self._episode(child.files, TOY).files.get(FILE, b"").strip()
                != b"goodbye"
            ):
                raise Rejected("invalid", "it can't change a toy repository")
        except Rejected as why:
            raise Rejected(why.reason, why.message, child.note) from None
        return child

    def _episode(self, agent: Files, work: AgentTask) -> EpisodeResult:
        assert self.task.spec.agent is not None
        produced = episode(self.task.spec.agent.steps, agent, work)
        self.calls += produced.used.steps
        return produced

    def _add(self, made: Proposal, files: Files, count: int) -> Proposal:
        self.trees[made.id] = dict(files)
        self.rows[made.id] = [self._row(files, case, 0) for case in self.search[:count]]
        known = [self.snapshot.score_of(parent) for parent in made.parents]
        score = fmean(row.score or 0.0 for row in self.rows[made.id])
        scored = replace(made, improvement=score - max(known) if known else None)
        self.snapshot.add(scored, None, self.rows[made.id])
        self._count(self.rows[made.id])
        self.made.append(Step(self.evaluations, self.calls, self._rate(files)))
        return scored

    def _count(self, rows: Sequence[Evaluation]) -> None:
        self.evaluations += len(rows)
        self.calls += sum(int(row.metrics["steps"]) for row in rows)

    def _row(self, files: Files, case: Mapping[str, Any], attempt: int) -> Evaluation:
        """Evaluate an agent on a case, which is deterministic, so once per process."""
        known = (tuple(sorted(files.items())), str(case["id"]))
        if known not in _KNOWN:
            _KNOWN[known] = self._tried(files, case)
        return replace(_KNOWN[known], attempt=attempt)

    def _tried(self, files: Files, case: Mapping[str, Any]) -> Evaluation:
        assert self.task.spec.agent is not None
        one = SimpleNamespace(**case)
        given = SCORER.workspace(one)
        produced = episode(
            self.task.spec.agent.steps,
            files,
            AgentTask(
                given["statement"],
                {path: text.encode() for path, text in given["files"].items()},
            ),
        )
        found = SCORER.evaluate(produced, one)
        return Evaluation(
            case["id"],
            case["split"],
            0,
            found["score"],
            {"steps": produced.used.steps},
            found["feedback"],
            produced.log,
        )

    def _rate(self, files: Files) -> float:
        """Return the share of held-out cases that an agent solves."""
        return fmean(self._row(files, case, 0).score or 0.0 for case in self.heldout)
