"""What `task.toml` may say. Strict: an unknown key is an error."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Split = Literal["search", "select", "heldout"]
SPLITS: tuple[Split, ...] = ("search", "select", "heldout")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsSpec(_Strict):
    """What one candidate may use, for each case."""

    time_s: float = Field(10.0, gt=0, description="seconds for each call of the candidate")
    evaluation_s: float | None = Field(
        None, gt=0, description="seconds for a whole case, the scorer included (time_s + 30)")
    memory_mb: int = Field(512, ge=32, description="of the candidate, all its processes together")
    scorer_memory_mb: int | None = Field(
        None, ge=64, description="of the scorer's process (half of the machine's)")
    processes: int = Field(64, ge=1, description="and threads, at once")
    cpus: float = Field(1.0, gt=0, description="cores at once (Docker only)")
    output_kb: int = Field(4096, ge=1, description="of what it prints")
    disk_mb: int = Field(64, ge=1, description="of files that it writes")

    @property
    def whole_evaluation_s(self) -> float:
        return self.evaluation_s if self.evaluation_s is not None else self.time_s + 30.0


class EnvironmentSpec(_Strict):
    """What candidate and scorer need installed."""

    packages: tuple[str, ...] = Field((), description="wheels for the candidate's sandbox")
    tools: tuple[str, ...] = Field((), description="commands of this machine, like gcc")
    preload: tuple[str, ...] = Field((), description="modules loaded before a candidate starts")
    scorer_packages: tuple[str, ...] = Field((), description=
        "packages for evaluate.py; pip's --no-deps may stand first")
    scorer_sources: tuple[str, ...] = Field((), description=
        "source distributions for evaluate.py, not installed: archives in the folder sdists on sys.path")
    image: str | None = Field(None, description=
        "a Docker image instead of this machine's Python, or a Dockerfile in the task's folder")
    isolation: Literal["warm", "fresh"] = Field(
        "warm", description="a fork in a box that is kept, or a new box for each candidate")


class CaseSpec(_Strict):
    """One thing a variant is scored on."""

    id: str = Field(min_length=1, max_length=128, description="its name, as case.id")
    split: Split = Field("search", description=
        "search: models see it; select: only the choice of the best; heldout: evolve verify")
    params: dict[str, Any] = Field({}, description="anything, as case.params")


class MeasureSpec(_Strict):
    """One axis of the MAP-Elites grid: built in, or a metric that the scorer returns."""

    name: str = Field(min_length=1, max_length=64, description="the measure, or the metric's key")
    low: float = Field(description="where its first bin begins")
    high: float = Field(description="where its last bin ends")
    bins: int = Field(10, ge=1, le=1000, description="how many")

    @model_validator(mode="after")
    def _check_range(self) -> MeasureSpec:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        return self


class BestKnown(_Strict):
    """The best score known to people, with its source."""

    score: float = Field(description="in the task's own direction")
    source: str = Field(min_length=1, description="who found it, where it can be read")


SHIPPED = "shipped"
# What an agent may bring along beside the files of its seed.
AGENT_GENOME = tuple(f"{folder}*.{end}" for folder in ("", "*/", "*/*/")
                          for end in ("py", "md", "txt", "j2"))


class AgentSpec(_Strict):
    """What is evolved is an agent: a tree of files that works in a workspace. Limits are for a case."""

    seed: Literal["shipped"] | None = Field(None, description="the engine's own agent, else initial/")
    editor: Literal["parent", "fixed"] = Field(
        "parent", description="who changes an agent: it does so itself, or the seed does")
    entry: str = Field("agent.py", description="the file that is run, in the workspace")
    genome: tuple[str, ...] = Field((), description=
        "files and patterns that may change (the seed's files, and new .py, .md, .txt, .j2)")
    max_kb: int = Field(256, ge=1, description="of a whole agent")
    solution: str | None = Field(None, description="the produced file whose functions can be called")
    validity: Literal["toy", "import"] = Field(
        "toy", description="what a new agent must do first: change a toy repository, or be imported")
    seed_cases: int = Field(10, ge=1, description="search cases that the seed is scored on at first")
    time_s: float = Field(300.0, gt=0, description="of the agent's own; waiting for a model is free")
    steps: int = Field(30, ge=1, description="model calls")
    tokens: int = Field(200_000, ge=1, description="of prompts and replies together")
    usd: float = Field(0.5, gt=0, description="dollars for model calls")


class PeerSpec(_Strict):
    """An evaluator of another engine, kept as it is (`evolve import` writes this)."""

    format: Literal["shinka", "openevolve", "codeevolve"] = Field(description="which engine's")
    evaluator: str = Field(min_length=1, description="its file, relative to task.toml")
    shared: tuple[str, ...] = Field((), description="modules that evaluator and program both have")
    thresholds: tuple[float, ...] | None = Field(None, description="of a cascade's stages")
    fitness_key: str | None = Field(None, description="the metric that is the score")


AGENT_RUN: dict[str, Any] = {"policy": "hgm", "operators": {"agentic": 1.0}}


class TaskSpec(_Strict):
    """A whole `task.toml`."""

    name: str = Field(min_length=1, description="of the task, in every view")
    description: str = Field(min_length=1, description="what the model is told")
    kind: Literal["program", "agent"] = Field(
        "program", description="what a variant is: code that is called, or an agent that works")
    agent: AgentSpec | None = Field(None, description="for kind = \"agent\"")
    language: str = Field("python", description="of the code, as models are told")
    direction: Literal["maximize", "minimize"] = Field(
        "maximize", description="which score is better: a higher or a lower one")
    entry: str | None = Field(None, description="file whose functions the scorer calls")
    editable: tuple[str, ...] = Field((), description=
        "files that may change (all); files that fit a pattern like lib/*.py may come and go")
    ceiling: float | None = Field(
        None, description="a proved bound: a better score is quarantined, never the best")
    best_known: BestKnown | None = Field(None, description="for the views: how far there is to go")
    limits: LimitsSpec = Field(LimitsSpec(), description="what a candidate may use, for each case")
    environment: EnvironmentSpec = Field(
        EnvironmentSpec(), description="what candidate and scorer need installed")
    cases: tuple[CaseSpec, ...] = Field(
        (CaseSpec(id="main"),), description="what a variant is scored on; its score is their mean")
    peer: PeerSpec | None = Field(None, description="whose evaluator this is, if not ours")
    measures: tuple[MeasureSpec, ...] = Field(
        (), description="axes of the grid: code_length, complexity, runtime, novelty, or any metric")
    run: dict[str, Any] = Field({}, description="defaults for the settings of a run")

    @model_validator(mode="before")
    @classmethod
    def _of_an_agent(cls, values: Any) -> Any:
        """Agents have a table and a way of searching of their own, unless the task says otherwise."""
        if not isinstance(values, dict) or values.get("kind") != "agent":
            return values
        run = values.get("run", {})
        return {"agent": {}} | values | ({"run": AGENT_RUN | run} if isinstance(run, dict) else {})

    @model_validator(mode="after")
    def _check_kind(self) -> TaskSpec:
        if self.kind == "program":
            if self.agent is not None:
                raise ValueError('the table [agent] is for kind = "agent"')
            return self
        for key in ("entry", "editable", "peer"):
            if getattr(self, key):
                other = {"entry": "agent.entry", "editable": "agent.genome"}.get(key)
                raise ValueError(f'{key} is not for kind = "agent"' + (f"; see {other}" if other else ""))
        if not self.maximize:
            raise ValueError('kind = "agent" needs direction = "maximize": what fails scores 0')
        return self

    @model_validator(mode="after")
    def _check_cases(self) -> TaskSpec:
        ids = Counter(case.id for case in self.cases)
        if twice := [name for name, count in ids.items() if count > 1]:
            raise ValueError(f"two cases have the id {twice[0]!r}")
        if not any(case.split == "search" for case in self.cases):
            raise ValueError('no case has split = "search"')
        return self

    @property
    def maximize(self) -> bool:
        return self.direction == "maximize"

    @property
    def lists_cases(self) -> bool:
        """False when the file names no case: then evaluate.py may."""
        return "cases" in self.model_fields_set

    @property
    def first_cases(self) -> tuple[CaseSpec, ...]:
        """The search cases that the seed is scored on before the search."""
        return self.cases_of("search")[:self.agent.seed_cases if self.agent else None]

    def cases_of(self, split: Split) -> tuple[CaseSpec, ...]:
        """The cases of one split, in the order of the file."""
        return tuple(case for case in self.cases if case.split == split)
