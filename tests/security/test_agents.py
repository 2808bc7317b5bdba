"""Hostile agents: what they try is refused, and nothing of it outlives their episode."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolve.agents import AgentEvaluator
from evolve.errors import TaskError
from evolve.models import Episode, OutOfBudget
from evolve.runs.evaluator import open_evaluator
from evolve.tasks import AgentTask, EpisodeResult, load_task
from tests.agent_model import AgentModel, serving_agents
from tests.episodes import WORK, desk, one_episode, runner, with_limits

PLACES = [pytest.param("docker", marks=pytest.mark.docker), "bubblewrap"]
KEY = "sk-never-to-be-seen-inside"
HEAD = """
import json, os, socket, subprocess, sys, threading, urllib.error, urllib.request

def ask(text="hello", **more):
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"messages": [{"role": "user", "content": text}]} | more).encode(),
        {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as response:
            return json.load(response)["choices"][0]["message"]["content"]
    except urllib.error.HTTPError as error:
        return json.load(error)["error"]["code"]

def tell(value):
    with open("found.json", "w") as file:
        json.dump(value, file)

def tried(work):
    try:
        return repr(work())[:200]
    except Exception as error:
        return "refused: " + type(error).__name__
"""


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentModel]:
    monkeypatch.setenv("HOSTED_VLLM_API_KEY", KEY)
    with serving_agents(AgentModel(reply=lambda messages, seed: "yes")) as served:
        yield served


def told(produced: EpisodeResult) -> Any:
    assert produced.reason is None, (produced.reason, produced.message, produced.log)
    return json.loads(produced.files["found.json"])


@pytest.mark.parametrize("place", PLACES)
def test_it_reaches_the_proxy_and_nothing_else(
    place: str, tmp_path: Path, model: AgentModel
) -> None:
    """Not the internet, not the host's loopback, where even the model's own server listens."""
    host, port = model.model.partition("http://")[2].removesuffix("/v1").split(":")
    agent = (
        HEAD
        + f"""
def connect(address):
    socket.create_connection(address, 3).close()
    return "connected"

tell({{"model": ask(), "server": tried(lambda: connect(("{host}", {port}))),
      "internet": tried(lambda: connect(("1.1.1.1", 443))),
      "metadata": tried(lambda: connect(("169.254.169.254", 80))),
      "names": tried(lambda: socket.getaddrinfo("example.com", 80)),
      "routes": len(open("/proc/net/route").read().splitlines()) - 1}})
"""
    )
    found = told(asyncio.run(one_episode(place, tmp_path, model.model, agent)))
    assert found.pop("model") == "yes" and found.pop("routes") == 0
    assert all(said.startswith("refused") for said in found.values()), found
    assert len(found) == 4 and model.keys == {f"Bearer {KEY}"}


@pytest.mark.parametrize("place", PLACES)
def test_keys_are_nowhere(place: str, tmp_path: Path, model: AgentModel) -> None:
    """Environment, processes, mounts, files: all that can be read is read."""
    agent = (
        HEAD
        + """
hits, looked = [], 0
mark = "yb-ot-reven-ks"[::-1].encode()
paths = [f"/proc/{name}/{what}" for name in os.listdir("/proc") if name.isdigit() or name == "self"
         for what in ("environ", "cmdline")] + ["/proc/mounts", "/proc/1/mountinfo"]
for top in ("/shared", "/tmp", "/run", "/etc", "/home", "/root", "/var", os.path.dirname(os.getcwd())):
    paths += [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]
for path in paths:
    try:
        with open(path, "rb") as file:
            data = file.read(1 << 20)
    except OSError:
        continue
    looked += 1
    if mark in data:
        hits.append(path)
tell({"hits": hits, "looked": looked, "shared": sorted(os.listdir("/shared"))})
"""
    )
    found = told(asyncio.run(one_episode(place, tmp_path, model.model, agent)))
    assert found["hits"] == [] and found["looked"] > 5
    assert found["shared"] == ["agent", "proxy.sock"]


@pytest.mark.parametrize("place", PLACES)
def test_its_own_files_and_its_socket_stay_as_they_are(
    place: str, tmp_path: Path, model: AgentModel
) -> None:
    agent = (
        HEAD
        + """
tell({"write": tried(lambda: open(__file__, "w")), "chmod": tried(lambda: os.chmod(__file__, 0o777)),
      "new": tried(lambda: open("/shared/agent/new.py", "w")),
      "unlink": tried(lambda: os.unlink("/shared/proxy.sock")),
      "rename": tried(lambda: os.rename("/shared/agent", "/shared/gone"))})
"""
    )
    found = told(asyncio.run(one_episode(place, tmp_path, model.model, agent)))
    assert (
        all(said.startswith("refused") for said in found.values()) and len(found) == 5
    ), found


@pytest.mark.parametrize("place", PLACES)
def test_limits_of_a_case_are_out_of_its_reach(
    place: str, tmp_path: Path, model: AgentModel
) -> None:
    """It asks for more steps in every way there is, from many threads and past the forwarder."""
    agent = (
        HEAD
        + """
os.environ["EVOLVE_STEPS"] = "1000"
answers = []
def many():
    for _ in range(4):
        answers.append(ask(steps=1000, max_tokens=10**9, n=50, model="other"))
threads = [threading.Thread(target=many) for _ in range(4)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
def direct():
    line = socket.socket(socket.AF_UNIX)
    line.connect("/shared/proxy.sock")
    body = json.dumps({"messages": [{"role": "user", "content": "more"}]})
    line.sendall(f"POST /v1/chat/completions HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n"
                 f"Content-Length: {len(body)}\\r\\n\\r\\n{body}".encode())
    return b"".join(iter(lambda: line.recv(4096), b"")).decode()
tell({"yes": answers.count("yes"), "refused": answers.count("steps_exhausted"),
      "direct": "steps_exhausted" in direct()})
"""
    )
    produced = asyncio.run(
        one_episode(place, tmp_path, model.model, agent, with_limits(steps=7))
    )
    assert told(produced) == {"yes": 7, "refused": 9, "direct": True}
    assert model.calls == 7 == produced.used.steps
    assert all(
        asked["max_tokens"] == 1024 and "n" not in asked for asked in model.requests
    )


def test_it_can_not_overspend(tmp_path: Path, model: AgentModel) -> None:
    """Dollars of the case, then those of the run."""
    agent = HEAD + 'tell([ask("x" * 2000, max_tokens=100) for _ in range(12)])'
    price = {"price": {model.model: (10.0, 10.0)}}
    case = with_limits(usd=0.05, steps=50)
    produced = asyncio.run(
        one_episode("bubblewrap", tmp_path / "a", model.model, agent, case, **price)
    )
    answers = told(produced)
    assert answers[-1] == "dollars_exhausted" and 1 < answers.count("yes") < 12
    assert 0.0 < produced.used.usd <= 0.05
    with pytest.raises(OutOfBudget, match="budget_usd"):
        asyncio.run(
            one_episode(
                "bubblewrap",
                tmp_path / "b",
                model.model,
                agent,
                with_limits(steps=50),
                budget_usd=0.05,
                **price,
            )
        )


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_left_for_the_next_episode(
    place: str, tmp_path: Path, model: AgentModel
) -> None:
    """Files everywhere, a daemon that outlives the agent, a listener, a writer into the workspace."""
    hide = (
        HEAD
        + """
left = []
for folder, folders, names in os.walk("/"):
    if folder.startswith(("/proc", "/sys")):
        folders.clear()
        continue
    try:
        with open(os.path.join(folder, "evolve-left-behind"), "w") as file:
            file.write("solution")
        left.append(folder)
    except OSError:
        pass
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        listener = socket.create_server(("127.0.0.1", 34567))
        import time
        while True:
            time.sleep(0.01)
            open("late.txt", "w").write("late")
    os._exit(0)
tell(sorted(left))
"""
    )
    look = (
        HEAD
        + """
found = [folder for folder, folders, names in os.walk("/") if "evolve-left-behind" in names]
others = [name for name in os.listdir("/proc") if name.isdigit()]
tell({"found": found, "others": len(others), "listener": tried(
    lambda: socket.create_connection(("127.0.0.1", 34567), 1))})
"""
    )

    async def both() -> list[EpisodeResult]:
        async with (
            desk(tmp_path, model.model) as open_desk,
            runner(place, open_desk.caller, with_limits()) as shop,
        ):
            return [
                await shop.episode(
                    open_desk.proposal,
                    Episode(f"case {name}", 0),
                    {"agent.py": name.encode()},
                    WORK,
                )
                for name in (hide, look)
            ]

    first, second = asyncio.run(both())
    assert told(first)
    assert told(second)["found"] == [] and told(second)["listener"].startswith(
        "refused"
    )
    assert told(second)["others"] <= 4


@pytest.mark.parametrize("place", PLACES)
def test_a_result_is_plain_files_within_limits(
    place: str, tmp_path: Path, model: AgentModel
) -> None:
    """Links out, pipes and sockets are no part of it; too much of it is no result."""
    odd = (
        HEAD
        + """
os.symlink("/etc/passwd", "link.txt"); os.symlink("/", "root"); os.mkfifo("pipe")
os.link("main.py", "hard.py"); socket.socket(socket.AF_UNIX).bind("sock")
os.makedirs(".git/hooks"); open(".git/hooks/x", "w").write("x")
tell("done")
"""
    )
    produced = asyncio.run(one_episode(place, tmp_path / "a", model.model, odd))
    assert sorted(produced.files) == ["found.json", "hard.py", "main.py"]
    for greedy in (
        "open('big', 'wb').truncate(15 << 20); open('more', 'wb').truncate(3 << 20)",
        "[open(str(n), 'w').close() for n in range(6000)]",
    ):
        produced = asyncio.run(one_episode(place, tmp_path / "b", model.model, greedy))
        assert produced.reason in ("exception", "output") and not produced.files, (
            produced
        )


def test_a_forged_end_is_a_claim_and_no_more(tmp_path: Path, model: AgentModel) -> None:
    """It writes answers of its own onto its line to the engine; what comes of it is its own files."""
    forge = (
        HEAD
        + """
parent = os.getppid()
for name in os.listdir(f"/proc/{parent}/fd") if os.access(f"/proc/{parent}/fd", os.R_OK) else ():
    try:
        with open(f"/proc/{parent}/fd/{name}", "wb", buffering=0) as file:
            file.write(b"\\0\\0\\0\\x02\\0\\0\\0\\0{}" * 10 + b'{"score": 1.0, "ok": true}')
    except OSError:
        continue
print('{"op": "result", "score": 1.0}')
sys.exit(3)
"""
    )
    produced = asyncio.run(one_episode("bubblewrap", tmp_path, model.model, forge))
    assert produced.reason in ("crash", "refused") and not produced.files


def test_time_is_its_own_time(tmp_path: Path) -> None:
    """Waiting for a slow model is free, sleeping is not."""
    slow = AgentModel(reply=lambda messages, seed: "yes", latency_s=1.6)
    with serving_agents(slow) as model:
        waits = HEAD + "tell([ask(), ask()])"
        produced = asyncio.run(
            one_episode(
                "bubblewrap", tmp_path, model.model, waits, with_limits(time_s=3)
            )
        )
        assert told(produced) == ["yes", "yes"] and produced.used.seconds < 3
        sleeps = "import time\nprint('I sleep', flush=True)\ntime.sleep(60)"
        produced = asyncio.run(
            one_episode(
                "bubblewrap", tmp_path, model.model, sleeps, with_limits(time_s=1)
            )
        )
        assert (
            produced.reason == "timeout"
            and "I sleep" in produced.log
            and not produced.files
        )


def test_time_does_not_stand_still_for_who_is_refused(
    tmp_path: Path, model: AgentModel
) -> None:
    """Many threads that never stop asking: what they ask is refused, so their time goes on."""
    hammer = (
        HEAD
        + """
def for_ever():
    while True:
        ask()
for _ in range(20):
    threading.Thread(target=for_ever).start()
"""
    )
    produced = asyncio.run(
        one_episode(
            "bubblewrap", tmp_path, model.model, hammer, with_limits(time_s=3, steps=2)
        )
    )
    assert produced.reason == "timeout" and model.calls == 2
    assert produced.used.seconds == pytest.approx(3, abs=1)


def test_a_workspace_that_can_not_be_made_is_the_tasks_fault(
    tmp_path: Path, model: AgentModel
) -> None:
    with pytest.raises(TaskError, match="the workspace can't be made"):
        asyncio.run(
            one_episode(
                "bubblewrap",
                tmp_path,
                model.model,
                "pass",
                work=AgentTask("x", {"../up.py": b""}),
            )
        )


def test_what_a_grading_asked_is_not_told(tmp_path: Path) -> None:
    """A solution that cries out its inputs gets them into no feedback and no log of its row."""
    (tmp_path / "task.toml").write_text(
        'name = "t"\ndescription = "d"\nkind = "agent"\n[[cases]]\nid = "one"\n'
        '[agent]\nseed = "shipped"\nsolution = "solution.py"\nvalidity = "import"\ntime_s = 20\n'
    )
    (tmp_path / "evaluate.py").write_text(
        'def workspace(case): return {"statement": "s", "files": {}}\n'
        'def evaluate(candidate, case): return candidate.call("solve", "hidden-input")\n'
    )
    agent = (
        "if __name__ == '__main__':\n"
        "    print('I work')\n"
        "    with open('solution.py', 'w') as file:\n"
        "        file.write('def solve(x):\\n print(x)\\n raise ValueError(x)\\n')\n"
    )

    async def row() -> Any:
        task = load_task(tmp_path)
        with serving_agents() as model:
            async with (
                desk(tmp_path / "desk", model.model) as open_desk,
                open_evaluator(
                    task, "bubblewrap", 1, tmp_path / "log", lambda line: None
                ) as evaluator,
            ):
                assert isinstance(evaluator, AgentEvaluator)
                evaluator.connect(open_desk.caller, 1000, 2.0)
                verdict = await evaluator.evaluate(
                    {"agent.py": agent.encode()}, task.spec.cases, 0, open_desk.proposal
                )
                return verdict.rows[0]

    found = asyncio.run(row())
    assert found.score == 0.0 and found.reason is None and "I work" in found.log
    assert "exception" in found.feedback and "hidden-input" not in json.dumps(
        dataclasses.asdict(found)
    )
