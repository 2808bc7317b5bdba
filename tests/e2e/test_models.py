"""Model operators through a socket, against the scripted server."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evolve.archive import ArchiveReader
from tests.cli import EVOLVE, Result, ScriptedServer, evolve

Start = Callable[..., ScriptedServer]
KEY = "sk-planted-0123456789abcdef"


def run(
    cwd: Path,
    task: Path,
    model: str,
    *more: str | int,
    env: dict[str, str] | None = None,
) -> Result:
    return evolve(
        "run",
        task,
        "--model",
        model,
        "--name",
        "r",
        "--json",
        *map(str, more),
        cwd=cwd,
        env=env,
    )


def calls_of(cwd: Path) -> list[dict[str, Any]]:
    """Every call of the run, with its proposal."""
    rows = []
    for variant in evolve("tree", "r", "--json", cwd=cwd).json():
        rows += evolve("show", variant["id"], "--run", "r", "--json", cwd=cwd).json()[
            "calls"
        ]
    return rows


@pytest.mark.parametrize("operator", ["diff", "rewrite"])
def test_replies_become_variants(
    tmp_path: Path, tasks: Path, scripted: Start, operator: str
) -> None:
    server = scripted()
    done = run(
        tmp_path,
        tasks / "cap_set",
        server.model,
        "--max-variants",
        10,
        "--operator",
        operator,
    )
    assert done.code == 0, done.err
    variants = [
        v for v in evolve("tree", "--json", cwd=tmp_path).json() if v["number"] > 0
    ]
    assert len(variants) == 10 and {v["operator"] for v in variants} == {operator}
    shown = evolve("show", variants[0]["id"], "--json", cwd=tmp_path).json()
    call = shown["calls"][0]
    assert call["state"] == "replied" and call["prompt_tokens"] > 0
    assert "64.0" in call["request"] and "# Current program" in call["request"]
    assert shown["patch"].startswith("--- a/capset.py")
    text = evolve("show", variants[0]["id"], cwd=tmp_path).out
    assert "[reply]" in text and "I try this" in text


@pytest.mark.slow
def test_bad_replies_are_repaired_or_recorded(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted("--bad-rate", 0.5, "--fail-rate", 0.2)
    done = run(tmp_path, tasks / "cap_set", server.model, "--max-variants", 20)
    assert done.code == 0, done.err
    events = [e for e in done.events() if e["event"] == "variant"]
    reasons = {e["reason"] for e in events if e["status"] == "rejected"}
    assert reasons & {"empty", "truncated", "unparsable", "syntax"}
    assert all(e["reason"] for e in events if e["status"] != "scored")
    rejected = next(e for e in events if e["status"] == "rejected")
    detail = evolve("show", rejected["proposal"], "--json", cwd=tmp_path).json()
    replies = [c for c in detail["calls"] if c["state"] == "replied"]
    assert [c["purpose"] for c in replies] == ["propose", "repair"], (
        "fed back once, and only once"
    )
    repaired = [c for c in calls_of(tmp_path) if c["purpose"] == "repair"]
    assert repaired and all("can't be used" in c["request"] for c in repaired)


@pytest.mark.slow
def test_a_repaired_child_keeps_its_own_score(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    """With several cases: what its failed first version scored on one of them counts for nothing."""
    server = scripted()
    done = run(tmp_path, tasks / "bin_packing", server.model, "--max-variants", 30)
    assert done.code == 0, done.err
    live = {
        e["id"]: e["score"]
        for e in done.events()
        if e["event"] == "variant" and e["id"]
    }
    stored = {
        v["id"]: v["score"] for v in evolve("tree", "--json", cwd=tmp_path).json()
    }
    assert {key: stored[key] for key in live} == pytest.approx(live)
    repaired = [
        c
        for c in calls_of(tmp_path)
        if c["purpose"] == "repair" and c["state"] == "replied"
    ]
    assert repaired, "nothing was repaired, so nothing was tested"


def test_a_run_out_of_budget_can_be_replayed(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted("--bad-rate", 0.3)
    assert run(tmp_path, tasks / "cap_set", server.model, "--max-calls", 14).code == 0
    again = evolve("replay", "r", cwd=tmp_path)
    assert again.code == 0 and "0 differences" in again.err, again.err


def test_replay_gives_the_same_tree_at_no_cost(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted("--bad-rate", 0.3, "--latency", 0.02)
    done = run(
        tmp_path, tasks / "cap_set", server.model, "--max-variants", 25, "--workers", 2
    )
    assert done.code == 0, done.err
    before = server.stats()["calls"]
    again = evolve("replay", "r", "--workers", 1, cwd=tmp_path)
    assert again.code == 0 and "0 differences" in again.err, again.err
    assert server.stats()["calls"] == before
    first, second = (
        evolve("tree", name, "--json", cwd=tmp_path).json()
        for name in ("r", "r-replay")
    )
    for variant in (*first, *second):
        # of the order of arrival
        del variant["novelty"], variant["kept"], variant["cost_usd"]
    assert first == second
    assert evolve("resume", "r-replay", "--max-variants", 30, cwd=tmp_path).code == 2


@pytest.mark.slow
def test_budgets_stop_before_they_are_passed(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    price = f"{server.model}=1.0/2.0"
    done = run(
        tmp_path,
        tasks / "cap_set",
        server.model,
        "--budget",
        "0.03usd",
        "--price",
        price,
        "--max-variants",
        500,
    )
    assert done.code == 0, done.err
    last = done.events()[-1]
    assert last["stopped"].startswith("budget_usd = 0.03 would be passed")
    assert 0.01 < last["spend_usd"] <= 0.03
    assert sum(c["cost_usd"] for c in calls_of(tmp_path)) <= last["spend_usd"] + 1e-9
    more = evolve("resume", "r", "--budget", "0.06usd", "--json", cwd=tmp_path)
    assert more.code == 0 and 0.03 < more.events()[-1]["spend_usd"] <= 0.06


@pytest.mark.parametrize(
    ("flag", "value"), [("--max-calls", 7), ("--max-tokens", 30_000)]
)
def test_calls_and_tokens_are_limited(
    tmp_path: Path, tasks: Path, scripted: Start, flag: str, value: int
) -> None:
    server = scripted()
    done = run(
        tmp_path, tasks / "cap_set", server.model, flag, value, "--max-variants", 500
    )
    assert done.code == 0 and "would be passed" in done.events()[-1]["stopped"], (
        done.err
    )
    reader = ArchiveReader.open(tmp_path / "runs" / "r" / "archive.db")
    spend = reader.spend()
    reader.close()
    assert 0 < server.stats()["calls"] == spend.calls
    assert (spend.calls if flag == "--max-calls" else spend.tokens) <= value


def test_a_model_without_a_price_is_refused(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    done = run(tmp_path, tasks / "cap_set", server.openai, "--max-variants", 2)
    assert (
        done.code == 2
        and "price" in done.err
        and "--price openai/scripted=" in done.err
    )
    assert not (tmp_path / "runs").exists() and server.stats()["calls"] == 0


def test_a_wrong_key_is_one_message_and_a_right_one_stays_secret(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted("--key", KEY)
    free = ("--price", "openai/scripted=0/0", "--max-variants", 4)
    wrong = run(
        tmp_path,
        tasks / "cap_set",
        server.openai,
        *free,
        env={"OPENAI_API_KEY": "sk-wrong-key"},
    )
    assert wrong.code == 2 and wrong.err.count("error:") == 1, wrong.err
    assert "check the key" in wrong.err and "Traceback" not in wrong.err
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY={KEY}\n")
    done = evolve("resume", "r", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.events()[-1]["variants"] == 4
    for path in (tmp_path / "runs").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert KEY.encode() not in content and b"sk-wrong-key" not in content, path


def test_a_missing_key_is_found_before_anything_is_spent(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    done = run(
        tmp_path,
        tasks / "cap_set",
        server.openai,
        "--price",
        "openai/scripted=0/0",
        env={"OPENAI_API_KEY": ""},
    )
    assert done.code == 2 and "OPENAI_API_KEY is not set" in done.err
    assert not (tmp_path / "runs").exists() and server.stats()["calls"] == 0


def test_an_unknown_model_is_one_message(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    done = run(
        tmp_path,
        tasks / "cap_set",
        server.model.replace("scripted", "nothing"),
        "--max-variants",
        2,
    )
    assert done.code == 2 and done.err.count("error:") == 1
    assert "does not exist" in done.err and "check the model's name" in done.err


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("hosted_vllm/x@127.0.0.1:8765/v1", "hosted_vllm/x@http://127.0.0.1:8765/v1"),
        ("hosted_vllm/x", "where is the server of hosted_vllm/x?"),
        ("openia/gpt-4o", "unknown provider 'openia'"),
    ],
)
def test_a_model_that_is_nowhere_is_found_before_anything_is_asked(
    tmp_path: Path, tasks: Path, model: str, said: str
) -> None:
    """No prompt is sent to a provider's address because a server's own is missing or misspelled."""
    done = run(tmp_path, tasks / "cap_set", model)
    assert done.code == 2 and said in done.err, done.err
    assert not (tmp_path / "runs").exists()


def test_an_address_without_its_end_is_told(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    done = run(
        tmp_path,
        tasks / "cap_set",
        scripted().model.removesuffix("/v1"),
        "--max-variants",
        2,
    )
    assert done.code == 2 and "does the address end in /v1" in done.err, done.err


def test_who_waits_for_an_endpoint_is_stopped_by_one_interrupt(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    assert run(tmp_path, tasks / "cap_set", server.model, "--max-variants", 1).code == 0
    server.stop()
    with subprocess.Popen(
        [EVOLVE, "resume", "r", "--max-variants", "3"],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        while "trying again, for 1" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)  # patience_s is 120
        assert process.returncode in (1, 130) and "Traceback" not in errors, errors
    resumed = evolve(
        "resume", "r", "--model", scripted().model, "--max-variants", 3, cwd=tmp_path
    )
    assert resumed.code == 0, resumed.err
    (row,) = evolve("compare", "r", "--json", cwd=tmp_path).json()
    asked = evolve("stats", "r", "--json", cwd=tmp_path).json()["models"]
    assert len(asked) == 2 and all(use["model"] in row["group"] for use in asked)
    assert {share["model"]: share["calls"] for share in row["shares"]} == {
        use["model"]: use["calls"] for use in asked
    }
    shown = evolve("compare", "r", cwd=tmp_path).out
    wrote = sum(share["scored"] for share in row["shares"])
    tree = evolve("tree", "r", "--json", cwd=tmp_path).json()
    assert wrote == sum(one["score"] is not None for one in tree[1:]) > 0
    assert all(use["model"] in shown.split("improved")[1] for use in asked)


def test_who_waits_for_a_turn_is_stopped_before_the_call_leaves(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    limits = {"EVOLVE_REQUESTS_PER_MINUTE": f'{{"{server.model}" = 1}}'}
    command = [
        EVOLVE,
        "run",
        str(tasks / "cap_set"),
        "--model",
        server.model,
        "--name",
        "r",
        "--max-variants",
        "5",
        "--json",
    ]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        text=True,
        env=os.environ | limits,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        while '"event": "variant"' not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=40)  # the next turn would come after 60 s
        assert process.returncode == 130 and '"stopped": "interrupted"' in told
    assert server.stats()["calls"] == 1


def test_an_endpoint_that_is_down_stops_the_run_resumable(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    done = run(
        tmp_path,
        tasks / "cap_set",
        server.model,
        "--max-variants",
        3,
        env={"EVOLVE_PATIENCE_S": "1"},
    )
    assert done.code == 0, done.err
    server.stop()
    down = evolve("resume", "r", "--max-variants", 6, cwd=tmp_path)
    assert down.code == 1 and down.err.count("error:") == 1, down.err
    assert "evolve resume" in down.err
    other = scripted()
    done = evolve(
        "resume",
        "r",
        "--model",
        other.model,
        "--max-variants",
        6,
        "--json",
        cwd=tmp_path,
    )
    assert done.code == 0 and done.events()[-1]["variants"] == 6, done.err


def test_a_context_that_is_too_small_for_any_prompt_ends_the_run(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted("--context", 100)
    done = run(
        tmp_path,
        tasks / "cap_set",
        server.model,
        "--max-variants",
        3,
        "--max-calls",
        12,
    )
    assert done.code == 2 and done.err.count("error:") == 1, done.err
    assert "prompt_tokens (now 16000) or reply_tokens (now 4096)" in done.err
    assert server.stats()["calls"] <= 3


def test_truncated_replies_are_rejected(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    done = evolve(
        "run",
        tasks / "cap_set",
        "--model",
        server.model,
        "--max-calls",
        4,
        "--json",
        cwd=tmp_path,
        env={"EVOLVE_REPLY_TOKENS": "16", "EVOLVE_MODEL_CALLS": "1"},
    )
    assert done.code == 0, done.err
    events = [e for e in done.events() if e["event"] == "variant"]
    assert events and all(e["reason"] == "truncated" for e in events)


def test_the_doctor_asks_one_word(tmp_path: Path, scripted: Start) -> None:
    server = scripted()
    good = evolve("doctor", "--model", server.model, cwd=tmp_path)
    assert good.code == 0 and "'Hello.'" in good.out
    bad = evolve(
        "doctor", "--model", server.model.replace("scripted", "nothing"), cwd=tmp_path
    )
    assert bad.code == 3 and "FAIL" in bad.out


def test_a_dry_run_shows_the_first_prompt_and_asks_nobody(
    tmp_path: Path, tasks: Path, scripted: Start
) -> None:
    server = scripted()
    done = evolve(
        "run",
        tasks / "cap_set",
        "--model",
        server.model,
        "--price",
        f"{server.model}=1/2",
        "--budget",
        "0.5usd",
        "--dry-run",
        "--json",
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    forecast = done.json()
    assert "# Current program" in forecast["messages"][-1]["content"]
    assert 0 < forecast["call_usd"] < 0.05 and forecast["run_usd"] == 0.5
    assert server.stats()["calls"] == 0 and not (tmp_path / "runs").exists()
    assert (
        "needs a key"
        not in evolve(
            "run",
            tasks / "cap_set",
            "--model",
            "openai/gpt-4o-mini",
            "--dry-run",
            cwd=tmp_path,
        ).err
    )
