"""Settings: which layer wins, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.config import (
    parse_dollars,
    parse_duration,
    parse_prices,
    resolve,
    user_file,
)
from evolve.errors import ConfigError
from evolve.plugins import parse_weights

TOML = Path("task.toml")


def test_layers(
    tmp_path: Path, own_sandbox: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    user_file().parent.mkdir(parents=True)
    user_file().write_text(
        "workers = 3\nseed = 3\npolicy = 'random'\nmax_variants = 3\n"
    )
    task = {"workers": 4, "seed": 4, "policy": "best_of_n"}
    (tmp_path / ".env").write_text("EVOLVE_WORKERS=5\nEVOLVE_SEED=5\n")
    monkeypatch.setenv("EVOLVE_WORKERS", "6")
    found = resolve({"seed": None, "workers": 7}, task, TOML)
    settings = found.settings
    assert (settings.workers, settings.seed, settings.policy) == (7, 5, "best_of_n")
    assert (settings.max_variants, settings.sandbox) == (3, "auto")
    assert found.origins["workers"] == "flag" and found.origins["seed"] == ".env"
    assert found.origins["max_variants"] == str(user_file())
    assert found.origins["sandbox"] == "default"


@pytest.mark.parametrize(
    ("flags", "task", "words"),
    [
        ({"workers": 0}, {}, ("workers", "flag")),
        ({}, {"seeds": 1}, ("seeds", "task.toml")),
        ({}, {"max_time_s": -1}, ("max_time_s", "task.toml")),
    ],
)
def test_wrong_settings_name_key_and_origin(
    flags: dict[str, int], task: dict[str, int], words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as error:
        resolve(flags, task, TOML)
    for word in words:
        assert word in error.value.message


def test_variables_for_lists_and_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOLVE_MODEL", "openai/a, openai/b@http://x/v1")
    monkeypatch.setenv("EVOLVE_OPERATORS", "{diff = 0.5, rewrite = 1}")
    monkeypatch.setenv("EVOLVE_MAX_TIME_S", "2m")
    monkeypatch.setenv("EVOLVE_BUDGET_USD", "5usd")
    settings = resolve({}, {}, TOML).settings
    assert settings.model == ("openai/a", "openai/b@http://x/v1")
    assert settings.operators == {"diff": 0.5, "rewrite": 1.0}
    assert (settings.max_time_s, settings.budget_usd) == (120.0, 5.0)


def test_amounts() -> None:
    assert [parse_duration(t) for t in ("90", "90s", "5m", "2h", "1d")] == [
        90,
        90,
        300,
        7200,
        86400,
    ]
    assert [parse_dollars(t) for t in ("5usd", "$0.5", "3", "2 USD")] == [5, 0.5, 3, 2]
    assert parse_prices(["openai/x=0.1/2", "a=b=1/1"]) == {
        "openai/x": (0.1, 2.0),
        "a=b": (1.0, 1.0),
    }
    assert parse_weights(["diff", "rewrite=0.5"]) == {"diff": 1.0, "rewrite": 0.5}
    for parse, bad in (
        (parse_duration, "soon"),
        (parse_duration, "-1s"),
        (parse_duration, "nan"),
        (parse_dollars, "five"),
        (parse_dollars, "0"),
    ):
        with pytest.raises(ConfigError):
            parse(bad)
    for text in ("x", "x=1", "x=1/-1", "x=a/b"):
        with pytest.raises(ConfigError):
            parse_prices([text])
    with pytest.raises(ConfigError):
        parse_weights(["diff=-1"])
