"""The attacks on an evaluator, each with advice in case it is accepted."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evolve.checking.hostile import MEMORIES, SIZES, WITHOUT_CONTENT
from evolve.tasks import Task

_HOSTILE = Path(__file__).with_name("hostile.py")
_MAIN = re.compile(r"^if __name__ *== *['\"]__main__['\"] *:", re.MULTILINE)
_FUTURE = re.compile(r"^from __future__ import [^\n]*\n", re.MULTILINE)
_RECOMPUTE = "recompute the score from the data; never use claims of the program"
_FINITE = "refuse numbers that are not finite before anything is compared: NaN passes every comparison"
_TYPES = "check types exactly (type(x) in (int, float)) and convert arrays by tolist()"
_SIZE = "take the size of the problem from the case, never from the answer, and check it first"
_PROCESS = "keep scorer and candidate in separate processes: get data by candidate.call"
_DATA = (
    "never execute or unpickle an answer, or use it as a query: it could set its score; "
    "use json.loads or ast.literal_eval"
)


NOT_EXECUTED = (
    "a text in place of an answer scores more, although it was not executed: an answer "
    "of the wrong type must cost"
)


@dataclass(frozen=True)
class Attack:
    """One way to cheat.

    Attributes:
        name: shown in the report
        fix: advice if the attack pays
        fair: not a cheat, but a test of tolerances
        empty: it does nothing, so that it must not score as much as the seed either
    """

    name: str
    fix: str
    fair: bool = False
    empty: bool = False


# Advice -> the attacks that it helps against, in the order of the report.
_ADVICE = {
    _FINITE: ("nan", "one nan", "infinite", "minus infinite", "one infinite"),
    _TYPES: ("complex", "strings", "booleans", "odd floats", "nothing"),
    "check that every number is in its range": ("huge",),
    _SIZE: ("empty", "one element", "short", "a claimed count"),
    _RECOMPUTE: (
        "a claim",
        "a negative claim",
        "a claimed float",
        "a bare number",
        "a dict with a score",
    ),
    "give the program copies, and score with your own data": (
        "inputs changed",
        "inputs zeroed",
    ),
    "a failed case must cost: never average over the others only": ("exceptions",),
    _PROCESS: (
        "early exit",
        "sys.exit",
        "forged output",
        "forged results",
        "names rebound",
        "libraries changed",
    ),
    "measure time outside the candidate's process: candidate.seconds": ("the clock",),
    "time calls on inputs that were never used before in the same case, drawn from case.seed": (
        *MEMORIES,
        "second call",
    ),
    "look at an answer once, then use only your own copy of it": ("two faces",),
    "compare each answer with the right one, relative to its size: a tolerance takes "
    "answers without content": WITHOUT_CONTENT,
    "set limits.time_s": ("hangs",),
    "set limits.output_kb": ("floods",),
    "keep answers and keys out of the candidate's reach": ("looks around",),
    _DATA: (
        "code",
        "code in base64",
        "code in JSON",
        "code in YAML",
        "code in a query",
        "a pickle",
        "a pickle in base64",
        "marshalled code",
        "marshalled code in base64",
    ),
}
EXITS = Attack(
    "exits at import",
    "an exit status says nothing: check that each test has run and passed",
    empty=True,
)
OTHER_RUN = Attack(
    "answers of another run",
    "draw inputs from case.seed: a program can contain the answers to inputs that never change",
)
ATTACKS = (
    *(Attack(name, fix) for fix, names in _ADVICE.items() for name in names),
    *(Attack(f"claims off by {size}", _RECOMPUTE) for size in SIZES),
    *(Attack(f"nudge {size}", "", fair=True) for size in SIZES),
    EXITS,  # after the first that have shown which commands of a case build
)
# the same values without the cheat
CONTROLS = {"booleans": "ones", EXITS.name: "programs that raise at import"}
_C_PROGRAMS = {
    "nothing": "int main(void) { return 0; }",
    "early exit": "int main(void) { return 3; }",
    "nan": '#include <stdio.h>\nint main(void) { for (int i = 0; i < 100000; i++) puts("nan"); }',
    "infinite": '#include <stdio.h>\nint main(void) { for (int i = 0; i < 100000; i++) puts("inf"); }',
    "booleans": '#include <stdio.h>\nint main(void) { for (int i = 0; i < 100000; i++) puts("1"); }',
    "huge": "#include <stdio.h>\nint main(void) { for (int i = 0; i < 100000; i++) "
    'puts("99999999999999999999"); }',
    "a claim": '#include <stdio.h>\nint main(void) { puts("{\\"score\\": 1e9}"); }',
    "hangs": "int main(void) { for (;;) ; }",
    "floods": '#include <stdio.h>\nint main(void) { for (;;) puts("xxxxxxxxxxxxxxxxxxxxxxxxxxxx"); }',
}


def programs(
    task: Task, recorded: Sequence[str] = (), shapes: Sequence[str] = ()
) -> dict[str, bytes]:
    """Return the attacking program for each attack that fits the task's language.

    Args:
        task: the task
        recorded: answers of the seed, to be repeated instead of computed again
        shapes: answers of the seed that others imitate, without their content

    Returns:
        Name of the attack -> text of the entry.
    """
    if task.spec.language in ("c", "cpp"):
        return {name: text.encode() for name, text in _C_PROGRAMS.items()}
    if not task.entry.endswith(".py"):
        return {}
    return {
        attack.name: armed(
            task, attack.name, shapes if attack.name in WITHOUT_CONTENT else recorded
        )
        for attack in ATTACKS
    }


def armed(task: Task, attack: str, recorded: Sequence[str] = ()) -> bytes:
    """Return the seed with the hostile code inserted before its main block.

    There all functions are defined already.

    Args:
        task: the task
        attack: name of the attack
        recorded: answers of the seed, to be repeated instead of computed again

    Returns:
        Text of the entry.
    """
    seed = task.seed[task.entry].decode()
    futures = "".join(_FUTURE.findall(seed))
    body = _FUTURE.sub("", seed)
    found = _MAIN.search(body)
    split = found.start() if found else len(body)
    arm = (
        f"\n\n_evolve_check = {{'__name__': 'evolve_check'}}\nexec({_HOSTILE.read_text()!r}, "
        f"_evolve_check)\n_evolve_check['arm'](globals(), {attack!r}, {tuple(recorded)!r})\n\n\n"
    )
    return f"{futures}{body[:split]}{arm}{body[split:]}".encode()
