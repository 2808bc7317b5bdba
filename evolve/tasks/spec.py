"""What `task.toml` may say. Strict: an unknown key is an error."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Split = Literal["search", "select", "heldout"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsSpec(_Strict):
    """What one candidate may use, for each case."""

    time_s: float = Field(10.0, gt=0, description="seconds for each call of the candidate")
    evaluation_s: float | None = Field(
        None, gt=0, description="seconds for a whole case, the scorer included (time_s + 30)")
    memory_mb: int = Field(512, ge=32)
    processes: int = Field(64, ge=1)
    cpus: float = Field(1.0, gt=0)
    output_kb: int = Field(4096, ge=1)
    disk_mb: int = Field(64, ge=1)

    @property
    def whole_evaluation_s(self) -> float:
        return self.evaluation_s if self.evaluation_s is not None else self.time_s + 30.0


class EnvironmentSpec(_Strict):
    """What candidate and scorer need installed."""

    packages: tuple[str, ...] = Field((), description="wheels for the candidate's sandbox")
    tools: tuple[str, ...] = Field((), description="commands of this machine, like gcc")
    preload: tuple[str, ...] = Field((), description="modules loaded before a candidate starts")
    scorer_packages: tuple[str, ...] = Field((), description="packages for evaluate.py")
    image: str | None = Field(None, description=
        "a Docker image instead of this machine's Python, or a Dockerfile in the task's folder")
    isolation: Literal["warm", "fresh"] = "warm"


class CaseSpec(_Strict):
    """One thing a variant is scored on."""

    id: str = Field(min_length=1, max_length=128)
    split: Split = "search"
    params: dict[str, Any] = {}


class MeasureSpec(_Strict):
    """One axis of the MAP-Elites grid: built in, or a metric that the scorer returns."""

    name: str = Field(min_length=1, max_length=64)
    low: float
    high: float
    bins: int = Field(10, ge=1, le=1000)

    @model_validator(mode="after")
    def _check_range(self) -> MeasureSpec:
        if not self.low < self.high:
            raise ValueError("low must be below high")
        return self


class BestKnown(_Strict):
    """The best score known to people, with its source."""

    score: float
    source: str = Field(min_length=1)


class PeerSpec(_Strict):
    """An evaluator of another engine, kept as it is (`evolve import` writes this)."""

    format: Literal["shinka", "openevolve", "codeevolve"]
    evaluator: str = Field(min_length=1, description="its file, relative to task.toml")
    shared: tuple[str, ...] = Field((), description="modules that evaluator and program both have")
    thresholds: tuple[float, ...] | None = Field(None, description="of a cascade's stages")
    fitness_key: str | None = Field(None, description="the metric that is the score")


class TaskSpec(_Strict):
    """A whole `task.toml`."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1, description="what the model is told")
    kind: Literal["program"] = "program"
    language: str = "python"
    direction: Literal["maximize", "minimize"] = "maximize"
    entry: str | None = Field(None, description="file whose functions the scorer calls")
    editable: tuple[str, ...] = Field((), description=
        "files that may change (all); files that fit a pattern like lib/*.py may come and go")
    ceiling: float | None = Field(
        None, description="a proved bound: a better score is quarantined, never the best")
    best_known: BestKnown | None = None
    limits: LimitsSpec = LimitsSpec()
    environment: EnvironmentSpec = EnvironmentSpec()
    cases: tuple[CaseSpec, ...] = (CaseSpec(id="main"),)
    peer: PeerSpec | None = Field(None, description="whose evaluator this is, if not ours")
    measures: tuple[MeasureSpec, ...] = Field(
        (), description="axes of the grid: code_length, complexity, runtime, novelty, or any metric")
    run: dict[str, Any] = Field({}, description="defaults for the settings of a run")

    @model_validator(mode="after")
    def _check_cases(self) -> TaskSpec:
        ids = [case.id for case in self.cases]
        if len(set(ids)) < len(ids):
            raise ValueError("two cases have the same id")
        if not any(case.split == "search" for case in self.cases):
            raise ValueError('no case has split = "search"')
        return self

    @property
    def maximize(self) -> bool:
        return self.direction == "maximize"

    def cases_of(self, split: Split) -> tuple[CaseSpec, ...]:
        """The cases of one split, in the order of the file."""
        return tuple(case for case in self.cases if case.split == split)
