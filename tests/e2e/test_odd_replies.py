"""Forms of replies that small models really write, through the real command line."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli import evolve

PROGRAM = """class Line:
    def height(self, x):
        return 1.0 * x


def heights(n):
    shape = Line()
    return [shape.height(float(i)) for i in range(n)]
"""
SCORER = """def evaluate(candidate, case):
    got = candidate.call("heights", 6)
    return {"score": -sum(abs(float(g) - 7.0 * i) for i, g in enumerate(got))}
"""
Answer = Callable[[str, int], str]


def changed(prompt: str, number: int) -> str:
    program = next(
        block
        for block in re.findall(r"```python\n(.*?)```", prompt, re.DOTALL)
        if "def height" in block
    )
    return re.sub(r"return .*", f"return {number}.25 * x", program, count=1)


def in_a_list(prompt: str, number: int) -> str:
    inside = "".join(f"   {line}\n" for line in changed(prompt, number).split("\n"))
    return f"1. The slope:\n\n   ```python\n{inside}   ```\n\n2. Done."


def bare(prompt: str, number: int) -> str:
    return f"The program:\n\n{changed(prompt, number)}\nIt's steeper now."


def with_protocol(prompt: str, number: int) -> str:
    head = (
        "from typing import Protocol\n\n\nclass Shape(Protocol):\n"
        "    def height(self, x):\n        ...\n\n\n"
    )
    body = changed(prompt, number).rpartition("class Line")
    return f"```python\n{head}{''.join(body[1:])}```"


def blanks_for_tabs(prompt: str, number: int) -> str:
    old = next(
        line for line in changed(prompt, number).split("\n") if "return [" in line
    )
    old = old.replace("\t", "    ")
    new = f"    if n > 90:\n        return [{number}]\n{old}"
    return f"So:\n\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """The name of a model that answers so."""
    calls = iter(range(1, 1000))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Print nothing."""

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            prompt = json.loads(body)["messages"][-1]["content"]
            message = {"role": "assistant", "content": answer(prompt, next(calls))}
            usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            data = json.dumps({"choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"hosted_vllm/odd@http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "operator"),
    [
        (in_a_list, "rewrite"),
        (bare, "rewrite"),
        (with_protocol, "rewrite"),
        (bare, "diff"),
        (blanks_for_tabs, "diff"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_reply_becomes_a_variant(
    tmp_path: Path, answer: Answer, operator: str
) -> None:
    task = tmp_path / "line"
    (task / "initial").mkdir(parents=True)
    (task / "task.toml").write_text(
        'name = "line"\ndescription = "heights(n) shall be 7 * i."\nentry = "line.py"\n'
    )
    (task / "evaluate.py").write_text(SCORER)
    tabs = answer is blanks_for_tabs
    program = PROGRAM.replace("    ", "\t") if tabs else PROGRAM
    (task / "initial" / "line.py").write_text(program)
    with answering(answer) as model:
        done = evolve(
            *(
                "run",
                task,
                "--name",
                "r",
                "--model",
                model,
                "--operator",
                f"{operator}=1",
            ),
            *("--max-variants", 4, "--max-calls", 4, "--sandbox", "local"),
            cwd=tmp_path,
        )
    assert done.code == 0 and "4 variants (0 failed), 0 rejected" in done.err, done.err
    if tabs:
        again = evolve("replay", "r", cwd=tmp_path)
        assert again.code == 0 and "0 differences" in again.err, again.err
