"""The model of the benchmark: a new number in the same program, in a format for all engines.

python -m benchmarks.throughput.model --latency 1 --spread 0
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import random
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from evolve.models.listening import listen

PROGRAM = (Path(__file__).parent / "native" / "initial" / "program.py").read_text()


def make_app(
    latency_s: float, spread: float, sleep_s: float, hang_every: int
) -> Starlette:
    """Create the server: log-normal latencies; each `hang_every`-th program never returns."""
    numbers = itertools.count(1)
    draw = random.Random(7)

    async def complete(request: Request) -> Response:
        await request.body()
        number = next(numbers)
        await asyncio.sleep(latency_s * math.exp(spread * draw.gauss(0, 1)))
        hangs = hang_every and number % hang_every == 0
        text = answer(number, 1e6 if hangs else sleep_s)
        return JSONResponse(
            {
                "id": str(number),
                "object": "chat.completion",
                "created": 0,
                "model": "scripted",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "stop",
                        "message": {"role": "assistant", "content": text},
                    }
                ],
                "usage": {
                    "prompt_tokens": 500,
                    "completion_tokens": 100,
                    "total_tokens": 600,
                },
            }
        )

    async def models(request: Request) -> Response:
        return JSONResponse(
            {"object": "list", "data": [{"id": "scripted", "object": "model"}]}
        )

    return Starlette(
        routes=[
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/v1/models", models),
        ]
    )


def answer(number: int, sleep_s: float) -> str:
    """Return the whole program with a new step, in the tags and fences of all engines."""
    step = f"    step = {0.5 + number * 1e-6!r}\n"
    if sleep_s:
        step += f"    __import__('time').sleep({sleep_s!r})\n"
    program = PROGRAM.replace("    step = 0.5\n", step)
    return (
        f"<NAME>step_{number}</NAME>\n<DESCRIPTION>another step</DESCRIPTION>\n<CODE>\n"
        f"```python\n{program}```\n</CODE>\n"
    )


def main() -> None:
    """Serve on a free port and print the address."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--spread", type=float, default=0.0)
    parser.add_argument("--sleep", type=float, default=0.0)
    parser.add_argument("--hang-every", type=int, default=0)
    given = parser.parse_args()
    app = make_app(given.latency, given.spread, given.sleep, given.hang_every)
    with listen() as listening:
        sys.stdout.write(f"http://127.0.0.1:{listening.getsockname()[1]}/v1\n")
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])


if __name__ == "__main__":
    main()
