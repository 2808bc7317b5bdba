"""The task that `evolve init` writes: ready to run, with a comment on every part."""

from pathlib import Path

_TASK = '''name = "{name}"
description = """
Approximate sin(x) on [0, 3] without the math module: `approximate(x)` returns a number for a number.
(The model reads this text. Describe arguments, return values and the goal.)
"""
direction = "maximize"      # or "minimize"
entry = "program.py"        # the file with the functions that evaluate.py calls
# ceiling = 0.0             # a proved bound: better scores are quarantined

[limits]
time_s = 5                  # for each call of the candidate
memory_mb = 256

[environment]
packages = []               # wheels for the candidate, for example ["numpy"]
preload = []                # modules loaded before it starts, for speed

[[cases]]                   # one or more; the score is the mean over the search cases
id = "main"
params = {{ points = 50 }}

[[cases]]
id = "unseen"
split = "heldout"           # never seen by the search
params = {{ points = 501 }}
'''

_PROGRAM = '''"""The seed. Only the lines between the two markers evolve (without markers, all lines)."""


# EVOLVE-BLOCK-START
def approximate(x):
    """A first guess."""
    return 1.0 * x - 0.1 * x * x
# EVOLVE-BLOCK-END
'''

_EVALUATE = '''"""The scorer. It is trusted and runs outside the sandbox; the candidate runs inside.

`evaluate(candidate, case)` asks the candidate for data and returns a number, or a dict with `score`
and optionally `metrics` (plain data, stored and shown) and `feedback` (text for the next prompt).
`case.seed` is secret and differs between runs: draw hidden inputs from it.
Do not trust the values that the candidate returns: check types, and recompute where possible.
"""

import math

from evolve import Candidate, Case


def evaluate(candidate: Candidate, case: Case) -> dict:
    worst, where = 0.0, 0.0
    count = case.params["points"]
    for k in range(count):
        x = 3.0 * k / (count - 1)
        value = candidate.call("approximate", x)
        if type(value) not in (int, float):
            candidate.fail(f"approximate({x!r}) must return a number, not {type(value).__name__}")
        error = abs(value - math.sin(x))
        if error > worst:
            worst, where = error, x
    return {
        "score": -worst,
        "metrics": {"worst_x": where},
        "feedback": f"largest error {worst!r} at x = {where:.3f}",
    }
'''

_README = """# {name}

Approximate sin(x) on [0, 3]; the score is minus the largest error. Replace it with your own task:

- `initial/` the seed program
- `evaluate.py` the scorer
- `task.toml` the task text for the model, limits, packages, cases
- `prompts/` optional: templates that replace those in `evolve/operators/prompts/`

Try it: `evolve eval {path}` scores the seed, `evolve run {path}` evolves it.
"""


def write_template(folder: Path) -> list[Path]:
    """Write a new task.

    Args:
        folder: folder to create; its name is the task's name

    Returns:
        The files that were written.

    Raises:
        FileExistsError: the folder exists
    """
    folder.mkdir(parents=True)
    (folder / "initial").mkdir()
    texts = {
        "task.toml": _TASK.format(name=folder.name),
        "initial/program.py": _PROGRAM,
        "evaluate.py": _EVALUATE,
        "README.md": _README.format(name=folder.name, path=folder),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]
