"""What the engine itself decodes costs it little, however it was forged.

A dict of 40,000 integers with one hash took 7 to 10 s of the event loop, the largest allowed one 17
to 27 minutes; a list of 6,000,000 texts 1.2 s and 600 MB.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from evolve.archive import Evaluation
from evolve.evaluation.evaluator import MAX_RESULT_BYTES, Verdict
from evolve.evaluation.scorer import MAX_FEEDBACK_CHARS
from evolve.models import Episode
from evolve.peers import shared
from evolve.runs.evaluator import open_evaluator
from evolve.sandbox import CandidateFault, Reason, aside
from evolve.sandbox.aside import SMALL_BYTES, run_aside
from evolve.sandbox.claims import read_files, read_output, read_small
from evolve.sandbox.inside import wire
from evolve.tasks import load_task
from tests.agent_model import serving_agents
from tests.episodes import WORK, desk, runner, with_limits
from tests.security.watched import HEAD, growth, watched_loop

PLACES = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
ONE_HASH = 2**61 - 1


def raw(text: bytes, blobs: bytes = b"") -> bytes:
    return struct.pack(">I", len(text)) + text + blobs


COLLIDING = raw(json.dumps({"$d": [[k * ONE_HASH, 0] for k in range(40_000)]}).encode())
FORGED = {
    "colliding": COLLIDING,
    "texts": raw(b"[" + b'"ab",' * 6_000_000 + b"0]"),
    "nested": raw(b"[" * 900_000 + b"]" * 900_000),
    "huge ints": raw(b"[" + b",".join([b"9" * 4300] * 5000) + b"]"),
    "huge float": raw(b"[0." + b"1" * 20_000_000 + b"]"),
    "files with one name": raw(b"[" + b",".join([b'["a",{"$b":0}]'] * 4000) + b"]"),
    "more than sent": raw(b'[["a",{"$b":1099511627775}]]'),
    "negative": raw(b'[["a",{"$b":2}],["b",{"$b":-1}]]', b"x"),
    "surrogate": raw(b'[["\\ud800",{"$b":1}]]', b"x"),
    "pairs of letters": raw(b'["ab","cd"]'),
    "cut off": b"\0\0\0\x09[]",
    "one big name": raw(b'[["' + b"a" * 5_000_000 + b'",{"$b":0}]]'),
    "empty": b"",
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_answer_costs_the_loop_nothing(what: str) -> None:
    payload = FORGED[what]

    async def read() -> Any:
        with pytest.raises(CandidateFault, match="its answer"):
            read_output(payload)
        if len(payload) > 4096:
            with pytest.raises(CandidateFault, match="short value"):
                read_small(payload)
        try:
            return await read_files(payload, 5000)
        except CandidateFault as fault:
            return fault.reason

    with growth() as grown, watched_loop() as watch:
        found = asyncio.run(read())
    aside.close()
    assert found == ({"a": b""} if what == "files with one name" else Reason.REFUSED)
    assert watch.longest_s < 0.1 and grown.megabytes < 50


def test_honest_answers_are_read() -> None:
    files = {f"lib/é{k}.py": os.urandom(k % 7) for k in range(4000)}
    listing = wire.encode([[path, data] for path, data in files.items()])
    assert asyncio.run(read_files(listing, 5000)) == files
    few = wire.encode([["a", b"x"], ["b", b""]])
    assert asyncio.run(read_files(few, 5000)) == {"a": b"x", "b": b""}
    assert read_output(wire.encode((b"out", b"error"))) == (b"out", b"error")
    assert read_small(wire.encode(-9)) == -9 and read_small(wire.encode(True)) is True
    aside.close()


@pytest.mark.parametrize(
    ("function", "argument", "reason"),
    [
        (time.sleep, 60, Reason.TIMEOUT),
        (bytes, 1 << 40, Reason.MEMORY),
        (json.loads, "[" * 100_000, Reason.REFUSED),
        (os._exit, 3, Reason.MEMORY),
    ],
)
def test_what_takes_too_much_aside_is_ended_with_a_reason(
    function: Any, argument: Any, reason: Reason
) -> None:
    async def live() -> Reason:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                await asyncio.sleep(0.02)
                beats += 1

        beside = asyncio.create_task(beat())
        with pytest.raises(CandidateFault) as caught:
            await run_aside(function, argument, size=SMALL_BYTES + 1, time_s=1.0)
        assert beats > 20 or reason is not Reason.TIMEOUT
        assert await run_aside(len, b"abc", size=SMALL_BYTES + 1) == 3
        beside.cancel()
        return caught.value.reason

    assert asyncio.run(live()) is reason
    aside.close()


def test_what_is_aside_ends_with_its_user_and_knows_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVOLVE_TEST_KEY", "secret")

    async def live() -> Any:
        return await run_aside(os.getenv, "EVOLVE_TEST_KEY", size=SMALL_BYTES + 1)

    assert asyncio.run(live()) is None
    (worker,) = aside._workers.idle
    aside.close()
    assert worker._process.poll() is not None


# an agent's code runs in the process that answers the engine while it is imported
FORGES = f"""{HEAD}
text = json.dumps({{"$d": [[k * {ONE_HASH}, 0] for k in range(40_000)]}}).encode()
body = struct.pack(">I", len(text)) + text
say(json.dumps({{"id": asked(), "ok": True}}).encode(), body)
time.sleep(30)
"""


@pytest.mark.parametrize("place", PLACES)
def test_an_agent_that_forges_an_answer_does_not_stop_the_engine(
    place: str, tmp_path: Path
) -> None:
    async def live() -> object:
        with serving_agents() as model:
            async with (
                desk(tmp_path / "desk", model.model) as open_desk,
                runner(place, open_desk.caller, with_limits(), 2) as shop,
            ):
                with watched_loop() as watch:
                    await shop.imports({"agent.py": FORGES.encode()})
                assert watch.longest_s < 0.2
                produced = await shop.episode(
                    open_desk.proposal,
                    Episode("case one", 0),
                    {"agent.py": b"open('x', 'w').write('y')"},
                    WORK,
                )
                return produced.files["x"]

    assert asyncio.run(live()) == b"y"


@pytest.mark.parametrize(
    "said",
    [
        '{"score": 1' + "0" * 400 + ', "metrics": {}, "feedback": ""}',
        '{"score": 1e999, "metrics": {}, "feedback": ""}',
        '{"score": ' + "[" * 5000 + "]" * 5000 + ', "metrics": {}, "feedback": ""}',
        '{"score": null, "error": ' + "[" * 900 + "]" * 900 + "}",
        '{"score": 1.0, "metrics": [], "feedback": ""}',
        "[" * 30_000_000,
        "[1]",
        "",
    ],
    ids=range(8),
)
def test_what_a_shared_evaluator_says_is_a_result_or_a_crash(said: str) -> None:
    row = Evaluation("main", "search", 0, None)
    before = time.thread_time()
    found = shared._read(row, 0, said.encode(), b"x" * (32 << 20))
    assert time.thread_time() - before < 0.2
    assert found.score is None and found.reason in ("crash", "invalid")
    assert len(found.log) <= 8000 and len(found.message) <= 2000


def test_metrics_of_a_shared_evaluator_are_few_short_and_finite() -> None:
    metrics = {"nan": float("nan"), "long": "x" * 10**5, "k" * 5000: 1} | {
        str(k): k for k in range(5000)
    }
    said = json.dumps({"score": 1, "metrics": metrics, "feedback": "y" * 9000})
    row = Evaluation("main", "search", 0, None)
    found = shared._read(row, 0, said.encode(), b"")
    assert (
        found.score == 1.0 and len(found.metrics) <= 201 and "nan" not in found.metrics
    )
    assert all(len(key) <= 1000 for key in found.metrics)
    assert len(str(found.metrics["long"])) == 1000 and len(found.feedback) == 4000


SCORER = """
def evaluate(candidate, case):
    value = candidate.call("answer")
    return {"score": 1.0, "feedback": value["feedback"], "metrics": {"said": value["metric"]}}
"""


@pytest.mark.parametrize(
    ("feedback", "metric", "reason"),
    [(20_000_000, 5, None), (10, 20_000_000, "refused")],
)
def test_feedback_and_metrics_of_a_scorer_are_bounded(
    feedback: int, metric: int, reason: str | None, tmp_path: Path
) -> None:
    folder = tmp_path / "task"
    (folder / "initial").mkdir(parents=True)
    (folder / "task.toml").write_text('name = "tiny"\ndescription = "text"\n')
    source = f'def answer():\n    return {{"feedback": "y" * {feedback}, "metric": "m" * {metric}}}\n'
    (folder / "initial" / "main.py").write_text(source)
    (folder / "evaluate.py").write_text(SCORER)
    task = load_task(folder)

    async def live() -> Verdict:
        log = tmp_path / "log"
        async with open_evaluator(
            task, "bubblewrap", 1, log, lambda line: None
        ) as evaluator:
            with watched_loop() as watch:
                found = await evaluator.evaluate(task.seed, task.spec.cases)
            assert watch.longest_s < 0.3
            return found

    (row,) = asyncio.run(live()).rows
    assert row.reason == reason and len(row.feedback) <= MAX_FEEDBACK_CHARS
    assert len(json.dumps(dict(row.metrics))) < MAX_RESULT_BYTES
