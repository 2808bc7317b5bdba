"""Schema of `task.toml`. It is strict: an unknown key is an error."""

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from evolve.archive import Aggregate
from evolve.sandbox.inside import wire
from evolve.tasks.requirement import (
    check_module,
    check_name,
    check_requirement,
    check_scorer_requirement,
    check_tool,
)

Split = Literal["search", "select", "heldout"]
PeerFormat = Literal["shinka", "openevolve", "codeevolve"]  # of other engines
SPLITS: tuple[Split, ...] = ("search", "select", "heldout")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsSpec(_Strict):
    """Resource limits of one candidate, for each case."""

    time_s: float = Field(
        10.0, gt=0, description="seconds for each call of the candidate"
    )
    evaluation_s: float | None = Field(
        None,
        gt=0,
        description="seconds for a whole case, the scorer included (time_s + 30)",
    )
    memory_mb: int = Field(
        512, ge=32, description="memory of all processes of the candidate together"
    )
    scorer_memory_mb: int | None = Field(
        None,
        ge=64,
        description="memory of the scorer's process (half of the machine's)",
    )
    processes: int = Field(64, ge=1, description="processes and threads at once")
    cpus: float = Field(1.0, gt=0, description="cores at once (Docker only)")
    output_kb: int = Field(4096, ge=1, description="output of the candidate")
    disk_mb: int = Field(64, ge=1, description="files that the candidate writes")

    @property
    def whole_evaluation_s(self) -> float:
        """Limit of a whole case in seconds, the scorer included; by default `time_s` + 30."""
        return (
            self.evaluation_s if self.evaluation_s is not None else self.time_s + 30.0
        )


_Requirement = Annotated[str, AfterValidator(check_requirement)]


class EnvironmentSpec(_Strict):
    """Software that candidate and scorer need."""

    packages: tuple[_Requirement, ...] = Field(
        (), description="wheels for the candidate's sandbox: names with versions"
    )
    builds: tuple[Annotated[str, AfterValidator(check_name)], ...] = Field(
        (),
        description="names of packages that are built from source, in a box: evolve trust DIR",
    )
    tools: tuple[Annotated[str, AfterValidator(check_tool)], ...] = Field(
        (), description="commands of this machine, such as gcc"
    )
    preload: tuple[Annotated[str, AfterValidator(check_module)], ...] = Field(
        (), description="modules loaded before a candidate starts"
    )
    scorer_packages: tuple[
        Annotated[str, AfterValidator(check_scorer_requirement)], ...
    ] = Field(
        (), description="wheels for evaluate.py; the first entry may be pip's --no-deps"
    )
    scorer_sources: tuple[_Requirement, ...] = Field(
        (),
        description="source distributions for evaluate.py, not installed: archives in a folder sdists on sys.path",
    )
    image: str | None = Field(
        None,
        description="a Docker image instead of this machine's Python, or a Dockerfile in the task's folder",
    )
    image_files: tuple[str, ...] = Field(
        (), description="files of the task that its Dockerfile copies"
    )
    image_network: bool = Field(
        False,
        description="the Dockerfile needs the network while it is built: evolve trust DIR",
    )
    isolation: Literal["warm", "fresh"] = Field(
        "warm",
        description="warm: a fork in a reused sandbox; fresh: a new sandbox for each candidate",
    )


class CaseSpec(_Strict):
    """One case that a variant is scored on."""

    id: str = Field(
        min_length=1, max_length=128, description="name of the case, as case.id"
    )
    split: Split = Field(
        "search",
        description="search: shown to models; select: only for choosing the best; heldout: only evolve verify",
    )
    params: dict[str, Any] = Field(
        {}, description="numbers, texts, truth values, lists and tables, as case.params"
    )

    @model_validator(mode="after")
    def _check_params(self) -> "CaseSpec":
        for key, value in self.params.items():
            try:
                wire.encode(value)
            except wire.Unsendable as error:
                raise ValueError(
                    f"params.{key} holds {error}: write it as text, such as "
                    '"2026-01-31"'
                ) from None
        return self


class MeasureSpec(_Strict):
    """One axis of the MAP-Elites grid: built in, or a metric that the scorer returns."""

    name: str = Field(
        min_length=1,
        max_length=64,
        description="a built-in measure, or the key of a metric",
    )
    low: float = Field(description="lower edge of the first bin")
    high: float = Field(description="upper edge of the last bin")
    bins: int = Field(10, ge=1, le=1000, description="number of bins")

    @model_validator(mode="after")
    def _check_range(self) -> "MeasureSpec":
        if not self.low < self.high:
            raise ValueError("low must be below high")
        return self


class BestKnown(_Strict):
    """The best published score, with its source."""

    score: float = Field(description="in the task's own direction")
    source: str = Field(min_length=1, description="author and publication")


class TimingSpec(_Strict):
    """The score is the speed of a function, as a multiple of the seed's."""

    function: str = Field(min_length=1, description="function of the entry file")
    clock: Literal["cpu", "wall"] = Field(
        "cpu",
        description="cpu: CPU time of all processes; wall: wall time, for programs that wait",
    )
    tolerance: float = Field(
        0.0,
        ge=0,
        description="relative error that floats of an answer may have against the seed's answer",
    )
    worthwhile: float = Field(
        0.01,
        gt=0,
        description="gain that is worth more measuring; one that is probably smaller is given up",
    )
    seconds: float = Field(
        60.0, gt=0, description="longest time for measuring one variant on one case"
    )


SHIPPED = "shipped"
# Files that an agent may have in addition to those of its seed.
AGENT_GENOME = tuple(
    f"{folder}*.{end}"
    for folder in ("", "*/", "*/*/")
    for end in ("py", "md", "txt", "j2")
)


class AgentSpec(_Strict):
    """Settings of a task that evolves an agent: files that work in a workspace.

    The limits apply to one case.
    """

    seed: Literal["shipped"] | None = Field(
        None, description="shipped: the engine's agent; otherwise initial/"
    )
    editor: Literal["parent", "fixed"] = Field(
        "parent",
        description="agent that edits: parent (the agent itself) or fixed (the seed)",
    )
    entry: str = Field("agent.py", description="file that is run, in the workspace")
    genome: tuple[str, ...] = Field(
        (),
        description="files and patterns that may change (files of the seed, and new .py, .md, .txt, .j2)",
    )
    max_kb: int = Field(256, ge=1, description="size of a whole agent")
    solution: str | None = Field(
        None, description="produced file with the functions that the scorer calls"
    )
    validity: Literal["toy", "import"] = Field(
        "toy",
        description="first check of a new agent: toy (change a toy repository) or import",
    )
    seed_cases: int = Field(
        10,
        ge=1,
        description="search cases that the seed is scored on before the search",
    )
    time_s: float = Field(
        300.0,
        gt=0,
        description="the agent's own running time; waiting for a model is free",
    )
    steps: int = Field(30, ge=1, description="model calls")
    tokens: int = Field(
        200_000, ge=1, description="tokens of prompts and replies together"
    )
    usd: float = Field(0.5, gt=0, description="dollars for model calls")


class PeerSpec(_Strict):
    """An unchanged evaluator of another engine (`evolve import` writes this)."""

    format: PeerFormat = Field(description="engine of the evaluator")
    evaluator: str = Field(
        min_length=1, description="the evaluator's file, relative to task.toml"
    )
    shared: tuple[str, ...] = Field(
        (), description="modules that evaluator and program share"
    )
    thresholds: tuple[float, ...] | None = Field(
        None, description="thresholds of a cascade's stages"
    )
    fitness_key: str | None = Field(None, description="the metric that is the score")


TIMED_RUN: dict[str, Any] = {"workers": 1}  # variants would disturb each other
AGENT_RUN: dict[str, Any] = {"policy": "hgm", "operators": {"agentic": 1.0}}


class TaskSpec(_Strict):
    """The content of a `task.toml`."""

    name: str = Field(min_length=1, description="name of the task, in every view")
    description: str = Field(min_length=1, description="task text for the model")
    kind: Literal["program", "agent"] = Field(
        "program",
        description="kind of a variant: code that is called, or an agent that works",
    )
    agent: AgentSpec | None = Field(None, description='settings for kind = "agent"')
    language: str = Field(
        "python", description="language of the code, as named in prompts"
    )
    direction: Literal["maximize", "minimize"] = Field(
        "maximize", description="whether a higher or a lower score is better"
    )
    entry: str | None = Field(
        None, description="file with the functions that the scorer calls"
    )
    editable: tuple[str, ...] = Field(
        (),
        description="files that may change (all); of a file named as in lib/a.py:Box.area only that function "
        "or class; files that match a pattern such as lib/*.py may also be created and deleted",
    )
    ceiling: float | None = Field(
        None,
        description="a proved bound: a better score is quarantined, never the best",
    )
    best_known: BestKnown | None = Field(
        None, description="best known score, shown for comparison"
    )
    limits: LimitsSpec = Field(
        LimitsSpec(), description="limits of a candidate, for each case"
    )
    environment: EnvironmentSpec = Field(
        EnvironmentSpec(), description="software that candidate and scorer need"
    )
    cases: tuple[CaseSpec, ...] = Field(
        (CaseSpec(id="main"),),
        description="cases that a variant is scored on; the score is their mean",
    )
    peer: PeerSpec | None = Field(None, description="evaluator of another engine")
    timing: TimingSpec | None = Field(
        None,
        description="score by the speed of a function; evaluate.py draws its inputs: draw(rng, case)",
    )
    fresh_inputs: bool = Field(
        False,
        description="another case.seed for each variant and attempt: no input is seen twice, and scores are noisy",
    )
    aggregate: Aggregate = Field(
        "mean",
        description="score of a case from its attempts, with repeats: mean, median or min; timed tasks: median",
    )
    measures: tuple[MeasureSpec, ...] = Field(
        (),
        description="axes of the grid: code_length, complexity, runtime, novelty, or any metric",
    )
    run: dict[str, Any] = Field({}, description="defaults for the settings of a run")

    @model_validator(mode="before")
    @classmethod
    def _of_a_timed_task(cls, values: Any) -> Any:
        """Add defaults for [run], unless the task sets them."""
        if not isinstance(values, dict) or values.get("timing") is None:
            return values
        run = values.get("run", {})
        defaults = {"aggregate": "median"} | values
        return defaults | ({"run": TIMED_RUN | run} if isinstance(run, dict) else {})

    @model_validator(mode="before")
    @classmethod
    def _of_an_agent(cls, values: Any) -> Any:
        """Add the agent table and defaults for [run], unless the task sets them."""
        if not isinstance(values, dict) or values.get("kind") != "agent":
            return values
        run = values.get("run", {})
        return (
            {"agent": {}}
            | values
            | ({"run": AGENT_RUN | run} if isinstance(run, dict) else {})
        )

    @model_validator(mode="after")
    def _check_timing(self) -> "TaskSpec":
        if self.timing is None:
            return self
        if self.kind == "agent" or self.peer is not None:
            raise ValueError("the table [timing] is for tasks with their own programs")
        if not self.maximize:
            raise ValueError(
                'the table [timing] needs direction = "maximize": a higher speed is better'
            )
        return self

    @model_validator(mode="after")
    def _check_kind(self) -> "TaskSpec":
        if self.kind == "agent" and self.aggregate != "mean":
            raise ValueError('kind = "agent" needs aggregate = "mean"')
        if self.kind == "program":
            if self.agent is not None:
                raise ValueError('the table [agent] is for kind = "agent"')
            return self
        for key in ("entry", "editable", "peer"):
            if getattr(self, key):
                other = {"entry": "agent.entry", "editable": "agent.genome"}.get(key)
                raise ValueError(
                    f'{key} is not for kind = "agent"'
                    + (f"; see {other}" if other else "")
                )
        if not self.maximize:
            raise ValueError(
                'kind = "agent" needs direction = "maximize": what fails scores 0'
            )
        return self

    @model_validator(mode="after")
    def _check_cases(self) -> "TaskSpec":
        ids = Counter(case.id for case in self.cases)
        if twice := [name for name, count in ids.items() if count > 1]:
            raise ValueError(f"two cases have the id {twice[0]!r}")
        if not any(case.split == "search" for case in self.cases):
            raise ValueError('no case has split = "search"')
        return self

    @property
    def evaluation_limit_s(self) -> float:
        """Limit of a whole case in seconds, measuring included."""
        measuring = 2 * self.timing.seconds if self.timing else 0.0
        return self.limits.whole_evaluation_s + measuring

    @property
    def maximize(self) -> bool:
        """Whether a greater score is better."""
        return self.direction == "maximize"

    @property
    def lists_cases(self) -> bool:
        """False if the file names no case: then evaluate.py may generate cases."""
        return "cases" in self.model_fields_set

    @property
    def first_cases(self) -> tuple[CaseSpec, ...]:
        """The search cases that the seed is scored on before the search."""
        return self.cases_of("search")[: self.agent.seed_cases if self.agent else None]

    def cases_of(self, split: Split) -> tuple[CaseSpec, ...]:
        """Return the cases of one split.

        Args:
            split: "search", "select" or "heldout"

        Returns:
            The cases in the order of the file.
        """
        return tuple(case for case in self.cases if case.split == split)
