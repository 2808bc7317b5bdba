"""Runs a Python script of an evaluator, with the stub in place of the candidate."""

import json
import runpy
import socket
import sys
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def main(config_text: str, script: list[str]) -> None:
    """Take over the link of the parent process, then run the script as a program.

    Args:
        config_text: JSON of the parent's configuration
        script: `-c CODE` or a path, then arguments
    """
    started = time.perf_counter_ns()
    config = json.loads(config_text)
    sys.path[:0] = [*config["path"], str(_ROOT)]
    from evolve.candidate import Candidate
    from evolve.peers import setup

    stream = socket.socket(fileno=config["descriptor"]).makefile("rwb")
    link = setup.connect(Candidate(stream, {}, config["descriptor"]), config)
    # the parent may measure how long its script takes
    link.ledger.skip(link.clocks.real_ns() - started)
    if script[0] == "-c":
        sys.argv = ["-c", *script[2:]]
        exec(compile(script[1], "<string>", "exec"), {"__name__": "__main__"})
        return
    sys.argv = script
    sys.path.insert(0, str(Path(script[0]).resolve().parent))
    runpy.run_path(script[0], run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
