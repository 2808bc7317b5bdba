"""A small program with vLLM's command line: `vllm_standin.py serve MODEL --port N ...` serves the
scripted model under that name. The model's name says how it fails to start, in the real one's words.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import uvicorn

from evolve.scripted import Script, ScriptedModel

ENDS = {
    "no-gpu": "RuntimeError: Failed to infer device type, please set VLLM_LOGGING_LEVEL=DEBUG",
    "no-weights": "OSError: no-weights is not a local folder and is not a valid model identifier",
    "no-memory": "ValueError: No available memory for the cache blocks.",
    "riddle": "ZeroDivisionError: division by zero",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["serve"])
    parser.add_argument("model")
    for option in (
        "--served-model-name",
        "--host",
        "--port",
        "--gpu-memory-utilization",
        "--max-model-len",
    ):
        parser.add_argument(option)
    parser.add_argument("--enable-prefix-caching", action="store_true")
    parser.add_argument("--enable-prompt-tokens-details", action="store_true")
    given = parser.parse_args()
    assert given.enable_prefix_caching and given.host == "127.0.0.1"
    with Path(os.environ["STANDIN_STARTS"]).open("a") as file:
        file.write(f"{os.getpid()} {' '.join(sys.argv[1:])}\n")
    if given.model in ENDS:
        sys.exit(ENDS[given.model])
    # A worker that does not end by itself, as the engine processes of the real one.
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with Path(os.environ["STANDIN_STARTS"]).open("a") as file:
        file.write(f"{worker.pid} worker\n")
    time.sleep(1.0)  # the weights are loaded
    app = ScriptedModel(Script(latency_s=0.1, name=given.served_model_name)).app()
    uvicorn.run(app, host=given.host, port=int(given.port), log_level="warning")


if __name__ == "__main__":
    main()
