"""The tasks that `evolve init` writes: ready to run, with a comment on every part."""

from pathlib import Path
from typing import Literal

from evolve.tasks.languages import texts_of

TaskKind = Literal["score", "speed"]

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


_TIMED_TASK = '''name = "{name}"
description = """
Count the pairs of numbers in a list whose sum is a multiple of a third number: `work(numbers, divisor)`.
(The model reads this text. Describe arguments, return values and what may change.)
"""
entry = "program.py"

[timing]                    # the score is the speed of a function, as a multiple of the seed's
function = "work"
# tolerance = 1e-9          # for floats; without it answers must be equal to the seed's
# clock = "wall"            # for programs that wait; default: CPU time of all processes

[limits]
time_s = 5                  # for each turn of a few calls
memory_mb = 256

[environment]
packages = []               # wheels for the candidate, for example ["numpy"]

[[cases]]
id = "main"
params = {{ size = 120 }}

[[cases]]
id = "unseen"
split = "heldout"           # a new winner is confirmed on it
params = {{ size = 160 }}
'''

_TIMED_PROGRAM = '''"""The seed. Only the lines between the two markers evolve (without markers, all lines)."""


# EVOLVE-BLOCK-START
def work(numbers, divisor):
    """Look at every pair."""
    count = 0
    for i in range(len(numbers)):
        for j in range(len(numbers)):
            if i < j and (numbers[i] + numbers[j]) % divisor == 0:
                count += 1
    return count
# EVOLVE-BLOCK-END
'''

_TIMED_SCORER = '''"""Inputs of the timed function. This file is trusted and runs outside the sandbox.

`draw(rng, case)` returns the arguments of one call; `rng` is a `numpy.random.Generator` with a secret
seed. No two inputs of a process may be equal. Without a function `check(candidate, answer, expected,
arguments)`, an answer must equal that of the seed.
"""


def draw(rng, case):
    numbers = rng.integers(0, 1_000_000, size=case.params["size"]).tolist()
    return [numbers, int(rng.integers(2, 50))]
'''

_TIMED_README = """# {name}

Count pairs, fast; the score is the speed as a multiple of the seed's. Replace it with your own task:

- `initial/` the seed program
- `evaluate.py` the inputs, and optionally the check of an answer
- `task.toml` the task text for the model, the timed function, limits, cases

Try it: `evolve noise {path}` tells the least gain that can be seen on this machine, `evolve run {path}` evolves it.
"""

_TEXTS: dict[TaskKind, dict[str, str]] = {
    "score": {
        "task.toml": _TASK,
        "initial/program.py": _PROGRAM,
        "evaluate.py": _EVALUATE,
        "README.md": _README,
    },
    "speed": {
        "task.toml": _TIMED_TASK,
        "initial/program.py": _TIMED_PROGRAM,
        "evaluate.py": _TIMED_SCORER,
        "README.md": _TIMED_README,
    },
}
_FILLED_IN = ("task.toml", "README.md")


def write_template(
    folder: Path, kind: TaskKind = "score", language: str = "python"
) -> list[Path]:
    """Write a new task.

    Args:
        folder: folder to create; its name is the task's name
        kind: "score": by a function `evaluate`; "speed": by the time of a function
        language: "python", or a key of `LANGUAGES`, for which `kind` is "score"

    Returns:
        The files that were written.

    Raises:
        FileExistsError: the folder exists
    """
    folder.mkdir(parents=True)
    (folder / "initial").mkdir()
    texts = _TEXTS[kind]
    if language != "python":
        texts = texts_of(language, folder.name) | {"README.md": _README}
    for name, text in texts.items():
        if name in _FILLED_IN and (language == "python" or name == "README.md"):
            text = text.format(name=folder.name, path=folder)
        (folder / name).write_text(text)
    return [folder / name for name in texts]
