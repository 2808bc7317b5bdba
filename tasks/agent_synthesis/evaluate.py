"""Program synthesis: write a program that answers generated questions of one kind.

The questions come from reasoning-gym's generators; its own scorers judge the answers, in this process.
They get texts, and none of them evaluates what it gets.
"""

import functools
import hashlib

from puzzles import NAMES, instances
from evolve import CandidateError

SPLITS = ("search", "search", "select", "heldout")
SHOWN, HIDDEN = 3, 12
MORE_CHARS = 200  # an answer may be so much longer than ours: no list of all there are
ANSWER_S = 2

STATEMENT = """Write the program solution.py: a module with one function, `answer(question)`. It gets the
text of a question and returns the text of the answer, within {seconds} seconds. The standard library only.

All questions are of one kind, with other numbers or words in them. These are examples, with answers that
count as right (where several are possible, any right one will do):

{examples}
Hidden questions of the same kind will be asked. The score is 1 when all of them are answered rightly, else
half the share that is. There is no model then: the program itself must know how.
"""


def cases():
    """Every kind of question, in an order and in splits that follow from its name alone."""
    return [{"id": name, "split": SPLITS[_digest(name) % 4], "params": {"kind": name}}
            for name in sorted(NAMES, key=_digest)]


def workspace(case):
    """A statement with examples, which are none of the hidden instances."""
    _, items = instances(case.params["kind"], SHOWN, _digest(case.params["kind"]) % 2**31)
    examples = "".join(f"## Question\n{item['question']}\n## Answer\n{item['answer']}\n\n" for item in items)
    return {"statement": STATEMENT.format(examples=examples, seconds=ANSWER_S),
            "files": {"solution.py": "def answer(question):\n    return \"\"\n"}}


def evaluate(candidate, case):
    """Instances drawn from the case's secret seed: the same for all variants of a run."""
    made, items = hidden(case.params["kind"], case.seed % 2**31)
    right, failed = 0, None
    for item in items:
        try:
            answer = candidate.call("answer", item["question"], timeout_s=ANSWER_S)
        except CandidateError as error:
            failed = error.reason
            if error.reason != "exception":
                break  # its process has ended
            continue
        right += is_right(made, item, answer)
    share = right / len(items)
    told = f"; one got no answer: {failed}" if failed else ""
    return {"score": 1.0 if share == 1.0 else share / 2, "metrics": {"right": right, "asked": len(items)},
            "feedback": f"{case.id}: {right} of {len(items)} hidden questions answered rightly{told}"}


@functools.cache
def hidden(kind, seed):
    return instances(kind, HIDDEN, seed)


def is_right(made, item, answer):
    """Whether the package's scorer gives it full marks; an answer it can't read is wrong."""
    if type(answer) is not str or len(answer) > 2 * len(str(item["answer"])) + MORE_CHARS:
        return False
    try:
        return made.score_answer(answer, item) >= 1.0
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return False


def _digest(name):
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)
