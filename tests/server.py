"""The scripted model over a real socket, in a thread: its counters can be read."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import uvicorn

from evolve.models.listening import listen
from evolve.scripted import NAME, Script, ScriptedModel


class Served(NamedTuple):
    """A server that answers, and the name of its model."""

    app: ScriptedModel
    model: str


@contextmanager
def serving(script: Script) -> Iterator[Served]:
    app = ScriptedModel(script)
    with listen() as listening:
        server = uvicorn.Server(
            uvicorn.Config(app.app(), log_level="critical", timeout_graceful_shutdown=0)
        )
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listening]}, daemon=True
        )
        thread.start()
        while not server.started:
            time.sleep(0.01)
        port = listening.getsockname()[1]
        try:
            yield Served(app, f"hosted_vllm/{NAME}@http://127.0.0.1:{port}/v1")
        finally:
            server.should_exit = True
            thread.join(10)
