"""Settings of a run, in layers: flags > EVOLVE_* > .env > task.toml > user file > defaults."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from evolve.errors import ConfigError, did_you_mean, validation_message

PREFIX = "EVOLVE_"
# Read elsewhere, or not settings of a run.
_OTHER_VARIABLES = ("EVOLVE_CACHE_DIR",)


class Settings(BaseModel):
    """Everything a run can be told. Kept in its run.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: str = Field("map_elites", description="search strategy")
    sandbox: str = Field("auto", description="where candidates run")
    workers: int = Field(2, ge=1, le=256, description="evaluations at the same time")
    max_variants: int | None = Field(
        200, ge=1, description="stop after so many scored or failed variants"
    )
    max_time_s: float | None = Field(
        None, gt=0, description="stop after so long, each time it runs"
    )
    target: float | None = Field(
        None, allow_inf_nan=False, description="stop at this score"
    )
    plateau: int | None = Field(
        None,
        ge=1,
        description="stop when so many scored variants brought nothing better",
    )
    window: int | None = Field(
        None,
        ge=0,
        description="repeatable: a decision sees all results but the last so many; 0: live",
    )
    patience_s: float = Field(
        120.0,
        ge=0,
        description="how long a fault of machine, disk or model is waited out",
    )
    seed: int = Field(0, ge=0, description="all random draws come from it")
    islands: int = Field(1, ge=1, le=1000, description="populations that seldom meet")
    topology: Literal["ring", "full"] = Field(
        "ring", description="which islands visit which"
    )
    migration_interval: int = Field(
        50, ge=1, description="scored variants between migrations"
    )
    migration_rate: float = Field(
        0.1, ge=0, le=1, description="share of an island that migrates"
    )
    island_restart: int = Field(
        0,
        ge=0,
        description="scored variants after which the worse islands begin again; 0: never",
    )
    novelty_gate: float = Field(
        0.0,
        ge=0,
        le=2,
        description="reject children so near to a variant, by cosine; 0: none",
    )
    novelty_judge: str | None = Field(
        None,
        description="a model that may let such children pass: it says whether they differ",
    )
    embedding: str | None = Field(
        None,
        description="a model of vectors for novelty, or transformer:NAME; none: token n-grams",
    )
    mates: str = Field(
        "drawn",
        description="second parents: drawn, distant, complementary or preference",
    )
    repeats: int = Field(
        1,
        ge=1,
        le=1000,
        description="evaluations of a case that a noisy task needs, at most",
    )
    scorer_seed: int | None = Field(
        None,
        ge=0,
        lt=2**63,
        description="the scorer's secret randomness; drawn anew for each run",
    )
    runs_dir: Path = Field(Path("runs"), description="where run folders lie")
    model: tuple[str, ...] = Field((), description="models that propose changes")
    operators: dict[str, float] = Field({}, description="operators with their weights")
    operator_choice: Literal["weights", "bandit"] = Field(
        "weights",
        description="operators and models by fixed weights, or by what has paid off",
    )
    notes: Literal["off", "statistics", "model"] = Field(
        "statistics", description="what is learned on the way, for later prompts"
    )
    notes_every: int = Field(
        50, ge=1, description="notes are taken at every so many decisions"
    )
    prompt_tokens: int = Field(
        16_000, ge=500, description="the longest prompt; evidence is cut to it"
    )
    model_calls: int = Field(8, ge=1, description="model calls at the same time")
    budget_usd: float | None = Field(
        None, gt=0, description="stop before so many dollars"
    )
    max_tokens: int | None = Field(None, ge=1, description="stop before so many tokens")
    max_calls: int | None = Field(
        None, ge=1, description="stop before so many model calls"
    )
    repairs: int = Field(
        1, ge=0, le=1, description="how often an unusable answer is fed back"
    )
    reply_tokens: int = Field(4096, ge=16, description="the longest reply of a model")
    temperature: tuple[Annotated[float, Field(ge=0, le=2)], ...] = Field(
        (0.8,), min_length=1, description="of model calls; several are taken in turn"
    )
    samples: int = Field(
        1, ge=1, le=64, description="replies asked for with one prompt"
    )
    call_timeout_s: float = Field(300.0, gt=0, description="for one model call")
    vllm_command: str = Field(
        "vllm", description="the command behind --model vllm:NAME"
    )
    vllm_options: str = Field("", description="more options for vllm serve")
    vllm_gpu_memory: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of the GPU's memory for vllm (its own default)",
    )
    vllm_start_s: float = Field(
        900.0, gt=0, description="how long vllm may take to load a model"
    )
    price: dict[str, tuple[float, float] | tuple[float, float, float]] = Field(
        {},
        description="dollars for a million tokens (prompt, reply[, cached prompt]), by model",
    )
    price_per_second: dict[str, float] = Field(
        {}, description="dollars for a second of a call, by model: one's own server"
    )
    requests_per_minute: dict[str, int] = Field(
        {}, description="at most so many, by model"
    )

    @field_validator("temperature", mode="before")
    @classmethod
    def _one_is_a_schedule(cls, value: Any) -> Any:
        return (value,) if isinstance(value, (int, float, str)) else value


@dataclass(frozen=True)
class Resolved:
    """Settings, and for each key where its value came from."""

    settings: Settings
    origins: Mapping[str, str]


def user_file() -> Path:
    """The user's own defaults."""
    return (
        Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config"))
        / "evolve/config.toml"
    )


def resolve(
    flags: Mapping[str, Any], task: Mapping[str, Any], task_toml: Path
) -> Resolved:
    """Merge all layers. Raises `ConfigError` naming key and origin."""
    layers = [
        (str(user_file()), _read_user_file()),
        (f"{task_toml} [run]", dict(task)),
        (".env", _from_variables(_read_dotenv(), ".env")),
        ("environment", _from_variables(os.environ, "the environment")),
        (
            "flag",
            {key: value for key, value in flags.items() if value not in (None, (), {})},
        ),
    ]
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, "default")
    for origin, layer in layers:
        for key, value in layer.items():
            if key not in Settings.model_fields:
                raise ConfigError(
                    f"{origin}: unknown setting {key!r}",
                    did_you_mean(key, Settings.model_fields),
                )
            values[key], origins[key] = value, origin
    return Resolved(build_settings(values, origins), origins)


def build_settings(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    """Check values. Raises `ConfigError` naming key and origin."""
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"{origins.get(key, 'run.toml')}: unknown setting {key!r}",
                did_you_mean(key, Settings.model_fields),
            ) from None
        raise ConfigError(
            f"{key} = {values.get(key)!r} (from {origins.get(key, 'run.toml')}): "
            f"{validation_message(first)}"
        ) from None


def _read_user_file() -> dict[str, Any]:
    path = user_file()
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None


def _read_dotenv() -> dict[str, str]:
    path = Path(".env")
    if not path.is_file():
        return {}
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8") as file:
            bad = next(
                (line.original.line for line in parse_stream(file) if line.error), None
            )
        if bad is not None:  # its text may be a key
            raise ConfigError(
                f"{path.absolute()}:{bad} is no line NAME=VALUE", "mend or remove it"
            )
        return {
            key: value
            for key, value in dotenv_values(path).items()
            if value is not None
        }
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path.absolute()} can't be read: {error}",
            "it is a text file of lines NAME=VALUE, in UTF-8",
        ) from None


def load_keys() -> None:
    """Put what `.env` says into the environment where nothing stands: API keys, for model calls.

    A key that is set to nothing is no key.
    """
    for name in [
        name
        for name, value in os.environ.items()
        if name.endswith("_KEY") and not value
    ]:
        del os.environ[name]
    for key, value in _read_dotenv().items():
        os.environ.setdefault(key, value)


def _from_variables(variables: Mapping[str, str], origin: str) -> dict[str, Any]:
    """EVOLVE_MAX_VARIANTS=100 -> max_variants; lists and tables are written as TOML."""
    found: dict[str, Any] = {}
    for name, text in variables.items():
        if not name.startswith(PREFIX) or name in _OTHER_VARIABLES:
            continue
        key = name.removeprefix(PREFIX).lower()
        if key not in Settings.model_fields:
            raise ConfigError(
                f"{origin}: unknown setting {name}",
                did_you_mean(
                    name, [PREFIX + known.upper() for known in Settings.model_fields]
                ),
            )
        found[key] = _value_of(key, text, origin)
    return found


def _value_of(key: str, text: str, origin: str) -> Any:
    if key == "model":
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if key == "temperature":
        return tuple(part.strip() for part in text.split(","))
    if key in ("operators", "price", "price_per_second", "requests_per_minute"):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                f"{origin}: {PREFIX}{key.upper()}: {error}",
                "write it as a TOML table: {diff = 0.6, rewrite = 0.4}",
            ) from None
    if key == "max_time_s":
        return parse_duration(text)
    if key == "budget_usd":
        return parse_dollars(text)
    return text


def parse_duration(text: str) -> float:
    """Seconds: "90", "90s", "5m", "2h". Raises `ConfigError`."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        value = float(number) * units[unit]
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise ConfigError(f"{text!r} is no duration", "write for example 90s, 5m or 2h")
    return value


def parse_dollars(text: str) -> float:
    """Dollars: "5usd", "$5", "5". Raises `ConfigError`."""
    try:
        value = float(text.lower().removesuffix("usd").removeprefix("$").strip())
    except ValueError:
        value = math.nan
    if value <= 0:
        raise ConfigError(
            f"{text!r}: an amount of money must be over 0", "write for example 5usd"
        )
    if not value < 1e9:
        raise ConfigError(
            f"{text!r} is no amount of money", "write for example 5usd or 0.50usd"
        )
    return value


def parse_prices(texts: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """ "MODEL=PROMPT/REPLY[/CACHED]" in dollars for a million tokens. Raises `ConfigError`."""
    prices = {}
    for text in texts:
        model, _, numbers = text.rpartition("=")
        try:
            found = tuple(map(float, numbers.split("/")))
        except ValueError:
            found = ()
        if not model or len(found) not in (2, 3) or not min(found) >= 0:
            raise ConfigError(
                f"{text!r} is no price",
                "write MODEL=PROMPT/REPLY, for example openai/x=0.15/0.60",
            )
        prices[model] = found
    return prices
