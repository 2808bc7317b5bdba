"""Runs tests and says how each ended, as one line of JSON. Its order comes over standard input.

It runs beside the code under test, in one process: what it says is a claim. See README.md for what
keeps the claim honest.
"""


def main():
    import json
    import os
    import sys

    order = json.loads(sys.stdin.buffer.read())
    line = os.dup(1)
    sys.path[:0] = order["path"]
    import pytest

    ended, said = {}, []

    class Listener:
        def pytest_collectreport(self, report):
            if report.failed:
                ended[report.nodeid] = ["broken", 0]

        def pytest_runtest_logreport(self, report):
            outcome, count = ended.get(name := report.nodeid.partition("[")[0], ["passed", 0])
            if report.failed:
                outcome = "failed"
                if len(said) < 3:
                    said.append([name, str(report.longrepr)])
            elif report.skipped and outcome == "passed":
                outcome = "skipped"
            ended[name] = [outcome, count + (report.when == "call")]

    status = pytest.main(["-q", "--color=no", "-p", "no:cacheprovider", "-c", order["ini"],
                          "--rootdir", order["root"], *order["tests"]], plugins=[Listener()])
    text = json.dumps({"nonce": order["nonce"], "status": int(status), "ended": ended, "said": said})
    os.write(line, b"\n" + text.encode() + b"\n")


main()
