"""Runs a peer's evaluator together with its candidate in one fresh sandbox.

The last resort, for evaluators that can't be separated from the candidate. Only the
standard library is used: this file and its neighbours are copied into the sandbox. The
last line of output is the result, which is only a claim.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import traceback

from . import formats

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "standins"))


def main() -> None:
    """Read the configuration from stdin and print the result as one line of JSON."""
    config = json.load(sys.stdin)
    os.chdir(config["folder"])
    results = tempfile.mkdtemp()
    with contextlib.redirect_stdout(sys.stderr):
        try:
            # an evaluator may start it in another folder
            program = os.path.abspath(config["program_path"])
            said = formats.evaluate(config, program, results)
        except (Exception, SystemExit):  # noqa: BLE001 - a task author's code; reported whole
            said = {"broken": traceback.format_exc()[-3000:]}
    sys.stdout.flush()
    os.write(1, b"\n" + json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    main()
