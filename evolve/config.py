"""Settings of a run, in layers: flags > EVOLVE_* > .env > task.toml > user file > defaults."""

from __future__ import annotations

import json
import logging
import math
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from evolve.errors import ConfigError, TrustError, did_you_mean, validation_message
from evolve.trust import dotenv
from evolve.trust.choices import COMMAND, LOWERED, commands_in, user_choices
from evolve.trust.commands import remember
from evolve.trust.store import home_folder

_log = logging.getLogger("evolve")

PREFIX = dotenv.PREFIX
# Not settings of a run; read by other modules.
_OTHER_VARIABLES = ("EVOLVE_CACHE_DIR",)


class ModelOptions(BaseModel):
    """Changed parameters of one model; None: as the settings of the run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: Annotated[float, Field(ge=0, le=2)] | Literal["none"] | None = None
    max_tokens: Annotated[int, Field(ge=16)] | None = None
    reasoning_effort: str | None = None
    extra_body: dict[str, Any] = {}
    headers: dict[str, str] = {}


class Settings(BaseModel):
    """All settings of a run, stored in its run.toml; the fields describe themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policy: str = Field("map_elites", description="search strategy")
    sandbox: str = Field("auto", description="where candidates run")
    workers: int = Field(2, ge=1, le=256, description="evaluations at the same time")
    max_variants: int | None = Field(
        200, ge=1, description="stop after N scored or failed variants"
    )
    max_time_s: float | None = Field(
        None,
        gt=0,
        description="stop after N seconds, counted from each start or resume",
    )
    target: float | None = Field(
        None, allow_inf_nan=False, description="stop at this score"
    )
    plateau: int | None = Field(
        None, ge=1, description="stop after N scored variants without a better one"
    )
    window: int | None = Field(
        None,
        ge=0,
        description=(
            "deterministic mode: each decision sees all results except those of the last "
            "N decisions; 0: live"
        ),
    )
    patience_s: float = Field(
        120.0,
        ge=0,
        description="seconds to retry after a fault of machine, disk or model",
    )
    seed: int = Field(0, ge=0, description="source of all random draws")
    islands: int = Field(
        1, ge=1, le=1000, description="populations that exchange variants rarely"
    )
    topology: Literal["ring", "full"] = Field(
        "ring", description="neighbours of an island: ring, or full (all others)"
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
        description="scored variants after which the worse islands restart; 0: never",
    )
    novelty_gate: float = Field(
        0.0,
        ge=0,
        le=2,
        description="reject children nearer than this cosine distance; 0: none",
    )
    novelty_judge: str | None = Field(
        None,
        description="model that decides whether such a child differs, and may accept it",
    )
    embedding: str | None = Field(
        None,
        description="embedding model for novelty, or transformer:NAME; none: token n-grams",
    )
    mates: str = Field(
        "drawn",
        description="choice of second parents: drawn, distant, complementary or preference",
    )
    repeats: int = Field(
        1, ge=1, le=1000, description="maximum evaluations per case, for a noisy task"
    )
    scorer_seed: int | None = Field(
        None,
        ge=0,
        lt=2**63,
        description="secret seed of the scorer; drawn for each run",
    )
    runs_dir: Path = Field(Path("runs"), description="directory of all runs")
    model: tuple[str, ...] = Field(
        (),
        description='models that propose changes; options may follow: "NAME KEY=VALUE"',
    )
    model_options: dict[str, ModelOptions] = Field(
        {},
        description=(
            "options by model: temperature (or none), max_tokens, reasoning_effort, "
            "extra_body, headers"
        ),
    )
    operators: dict[str, float] = Field({}, description="operators with their weights")
    operator_choice: Literal["weights", "bandit"] = Field(
        "weights",
        description="choose operators and models by fixed weights, or by past success",
    )
    notes: Literal["off", "statistics", "model"] = Field(
        "statistics", description="notes about the search, for later prompts"
    )
    notes_every: int = Field(
        50, ge=1, description="decisions from one set of notes to the next"
    )
    prompt_tokens: int = Field(
        16_000,
        ge=500,
        description="maximum prompt; context and long programs are cut to fit",
    )
    model_calls: int = Field(8, ge=1, description="model calls at the same time")
    budget_usd: float | None = Field(
        None, gt=0, description="stop before the run costs more than N dollars"
    )
    max_tokens: int | None = Field(
        None, ge=1, description="stop before the run uses more than N tokens"
    )
    max_calls: int | None = Field(
        None, ge=1, description="stop before the run makes more than N model calls"
    )
    repairs: int = Field(
        1, ge=0, le=1, description="how often an unusable answer is fed back"
    )
    reply_tokens: int = Field(4096, ge=16, description="maximum reply of a model")
    temperature: tuple[Annotated[float, Field(ge=0, le=2)], ...] = Field(
        (0.8,), min_length=1, description="for model calls; several are used in turn"
    )
    samples: int = Field(1, ge=1, le=64, description="replies per prompt")
    call_timeout_s: float = Field(
        300.0, gt=0, description="maximum duration of one model call"
    )
    vllm_command: str = Field("vllm", description="command for --model vllm:NAME")
    vllm_options: str = Field("", description="further options of vllm serve")
    vllm_gpu_memory: float | None = Field(
        None,
        gt=0,
        le=1,
        description="share of the GPU's memory for vllm (vllm's default)",
    )
    vllm_start_s: float = Field(
        900.0, gt=0, description="maximum time for vllm to load a model"
    )
    price: dict[str, tuple[float, float] | tuple[float, float, float]] = Field(
        {},
        description="dollars per million tokens (prompt, reply[, cached prompt]), by model",
    )
    price_per_second: dict[str, float] = Field(
        {},
        description="dollars per second of a call, by model: for a self-hosted server",
    )
    requests_per_minute: dict[str, int] = Field(
        {}, description="maximum rate of requests, by model"
    )

    @model_validator(mode="before")
    @classmethod
    def _options_follow_names(cls, values: Any) -> Any:
        models = values.get("model") if isinstance(values, Mapping) else None
        if not isinstance(models, (list, tuple)):
            return values
        named = [_split_options(str(text)) for text in models]
        given = dict(values.get("model_options") or {})
        given |= {
            one.name: _plain(given.get(one.name)) | one.options
            for one in named
            if one.options
        }
        return {
            **values,
            "model": tuple(one.name for one in named),
            "model_options": given,
        }

    @field_validator("temperature", mode="before")
    @classmethod
    def _one_is_a_schedule(cls, value: Any) -> Any:
        return (value,) if isinstance(value, (int, float, str)) else value


class _Named(NamedTuple):
    """A model with the options that follow its name."""

    name: str
    options: dict[str, Any]


def _split_options(text: str) -> _Named:
    """Split `NAME KEY=VALUE ...`; a value may be JSON.

    Returns:
        The name and its options.

    Raises:
        ValueError: an option is not valid
    """
    if text.startswith(COMMAND):
        return _Named(text, {})
    name, _, rest = text.strip().partition(" ")
    options: dict[str, Any] = {}
    while rest := rest.strip():
        key, mark, rest = rest.partition("=")
        if not mark:
            raise ValueError(f"invalid option {key!r} after {name}: use KEY=VALUE")
        if rest.startswith(("{", '"')):
            value, end = json.JSONDecoder().raw_decode(rest)
            rest = rest[end:]
        else:
            value, _, rest = rest.partition(" ")
        if key.startswith("header."):
            options.setdefault("headers", {})[key.removeprefix("header.")] = value
        else:
            options[key] = value
    return _Named(name, options)


def _plain(options: Any) -> dict[str, Any]:
    """Return options as a table of those that are set."""
    if isinstance(options, BaseModel):
        return options.model_dump(exclude_unset=True)
    return dict(options or {})


def _split_models(text: str) -> tuple[str, ...]:
    """Split a list of models at its commas; those in JSON are part of an option."""
    if text.strip().startswith(COMMAND):
        return (text.strip(),)
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return tuple(part.strip() for part in parts if part.strip())


@dataclass(frozen=True)
class Resolved:
    """Settings with their origins.

    Attributes:
        settings: The merged settings.
        origins: Origin of each value: a file, `environment`, `flag` or `default`.
    """

    settings: Settings
    origins: Mapping[str, str]


def user_file() -> Path:
    """Return the path of the user's configuration file, which need not exist."""
    return (
        Path(os.environ.get("XDG_CONFIG_HOME") or home_folder() / ".config")
        / "evolve/config.toml"
    )


def resolve(
    flags: Mapping[str, Any], task: Mapping[str, Any], task_toml: Path
) -> Resolved:
    """Merge all layers: flags, environment, .env, task.toml, user file, defaults.

    Args:
        flags: Values of flags; None and empty tuples or dicts count as not given.
        task: Table `[run]` of task.toml.
        task_toml: Path of task.toml, for messages.

    Returns:
        The settings and their origins.

    Raises:
        ConfigError: A key is unknown or a value not valid; names key and origin.
        TrustError: The task chooses what only the user may choose, and no flag overrides
            it.
    """
    user, task_origin = _read_user_file(), f"{task_toml} [run]"
    layers = [
        (str(user_file()), user),
        (task_origin, _not_raised(task, user)),
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
    _refuse_commands(task, task_toml)
    resolved = Resolved(build_settings(values, origins), origins)
    remember(commands_in(resolved.settings.model_dump()))
    _check_choices(
        {key: value for key, value in task.items() if origins[key] == task_origin},
        task_toml,
    )
    return resolved


def resolve_model(text: str, settings: Settings | None = None) -> Settings:
    """Return settings with one model only.

    Args:
        text: The model, with its options.
        settings: Further settings; None: those of the user.

    Returns:
        The settings; `model` has one name.

    Raises:
        ConfigError: The model's options are not valid.
    """
    alone = resolve({"model": (text,)}, {}, Path("task.toml")).settings
    if settings is None:
        return alone
    return settings.model_copy(
        update={"model": alone.model, "model_options": alone.model_options}
    )


def _not_raised(task: Mapping[str, Any], user: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a task without limits above those of the user's file."""
    return {
        key: value
        for key, value in task.items()
        if key not in LOWERED
        or not isinstance(value, (int, float))
        or not isinstance(user.get(key), (int, float))
        or value < user[key]
    }


def _refuse_commands(task: Mapping[str, Any], task_toml: Path) -> None:
    """Refuse commands as models of a task, also of a trusted one."""
    if commands := commands_in(task):
        raise TrustError(
            f"{task_toml} [run] names the command {commands[0]!r} as a model: a task may not",
            "only you may name one: --model, EVOLVE_MODEL, or your configuration file",
        )


def _check_choices(task: Mapping[str, Any], task_toml: Path) -> None:
    """Refuse settings that only the user may choose, unless the task is trusted."""
    chosen = user_choices(task)
    if not chosen:
        return
    from evolve.tasks.accepted import require_accepted

    require_accepted(
        task_toml.parent,
        [
            f"{task_toml} [run] {key} = {task[key]!r}; only the user may choose it: {how}"
            for key, how in chosen.items()
        ],
    )


def build_settings(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    """Validate values.

    Args:
        values: Values by key.
        origins: Origins by key, for messages; missing: run.toml.

    Returns:
        The settings, with defaults for missing keys.

    Raises:
        ConfigError: A key is unknown or a value not valid; names key and origin.
    """
    try:
        return Settings.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        # an option that follows a name is checked with the whole
        key = str(first["loc"][0]) if first["loc"] else "model"
        if first["type"] == "extra_forbidden" and len(first["loc"]) > 1:
            raise ConfigError(
                f"unknown option {first['loc'][-1]!r} of the model {first['loc'][1]}",
                did_you_mean(str(first["loc"][-1]), ModelOptions.model_fields)
                + "; headers are given as header.NAME=VALUE",
            ) from None
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
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError:  # HOME may be another user's
        _log.warning("note: %s can't be read (Permission denied): skipped", path)
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
        if bad is not None:  # not shown: its text may be an API key
            raise ConfigError(
                f"invalid line {path.absolute()}:{bad}: use NAME=VALUE",
                "fix or remove it",
            )
        found = {
            key: value
            for key, value in dotenv_values(path).items()
            if value is not None
        }
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path.absolute()} can't be read: {error}",
            "use lines NAME=VALUE, in UTF-8",
        ) from None
    if problem := dotenv.refused(path.absolute(), found, os.environ):
        raise ConfigError(
            f"{path.absolute()} may not set {problem}",
            f"set it in the environment or in {user_file()}",
        )
    return found


def load_keys() -> None:
    """Add the variables of `.env` that are not set to the environment, such as API keys.

    A variable `*_KEY` with an empty value counts as not set.

    Raises:
        ConfigError: `.env` can't be read or has an invalid line.
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
    """Parse variables: EVOLVE_MAX_VARIANTS=100 -> max_variants; tables are TOML."""
    found: dict[str, Any] = {}
    for name, text in variables.items():
        if not name.startswith(PREFIX) or name in _OTHER_VARIABLES:
            continue
        key = name.removeprefix(PREFIX).lower()
        if key not in Settings.model_fields:
            raise ConfigError(
                f"{origin}: unknown setting {name}",
                did_you_mean(name, dotenv.names_of(Settings.model_fields)),
            )
        found[key] = _value_of(key, text, origin)
    return found


_TABLES = (
    "operators",
    "price",
    "price_per_second",
    "requests_per_minute",
    "model_options",
)


def _value_of(key: str, text: str, origin: str) -> Any:
    if key == "model":
        return _split_models(text)
    if key == "temperature":
        return tuple(part.strip() for part in text.split(","))
    if key in _TABLES:
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                f"{origin}: {PREFIX}{key.upper()}: {error}",
                "use a TOML table such as {diff = 0.6, rewrite = 0.4}",
            ) from None
    if key == "max_time_s":
        return parse_duration(text)
    if key == "budget_usd":
        return parse_dollars(text)
    return text


def parse_duration(text: str) -> float:
    """Parse a duration.

    Args:
        text: Number with the unit s, m, h or d; no unit: seconds.

    Returns:
        Seconds, more than 0.

    Raises:
        ConfigError: The text is not valid.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        value = float(number) * units[unit]
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        raise ConfigError(f"invalid duration {text!r}", "use for example 90s, 5m or 2h")
    return value


def parse_dollars(text: str) -> float:
    """Parse an amount of money.

    Args:
        text: Dollars, such as "5usd", "$5" or "5".

    Returns:
        Dollars, more than 0.

    Raises:
        ConfigError: The text is not valid.
    """
    try:
        value = float(text.lower().removesuffix("usd").removeprefix("$").strip())
    except ValueError:
        value = math.nan
    if value <= 0:
        raise ConfigError(
            f"invalid amount of money {text!r}: it must be over 0",
            "use for example 5usd",
        )
    if not value < 1e9:
        raise ConfigError(
            f"invalid amount of money {text!r}", "use for example 5usd or 0.50usd"
        )
    return value


def parse_prices(texts: Iterable[str]) -> dict[str, tuple[float, ...]]:
    """Parse prices of models.

    Args:
        texts: "MODEL=PROMPT/REPLY[/CACHED]", in dollars per million tokens.

    Returns:
        Model -> (prompt, reply[, cached prompt]), in dollars per million tokens.

    Raises:
        ConfigError: A text is not valid.
    """
    prices = {}
    for text in texts:
        model, _, numbers = text.rpartition("=")
        try:
            found = tuple(map(float, numbers.split("/")))
        except ValueError:
            found = ()
        if not model or len(found) not in (2, 3) or not min(found) >= 0:
            raise ConfigError(
                f"invalid price {text!r}",
                "use MODEL=PROMPT/REPLY, for example openai/x=0.15/0.60",
            )
        prices[model] = found
    return prices
