"""Puzzles that need more and more skill. Only what is in answer.txt counts; nothing is run for it."""

import random

KINDS = ("plain", "look", "look test", "look edge", "look long", "look test edge")
EACH = 2  # of a kind in every split


def cases(each=EACH):
    """The kinds in turn, so that the first few show all of them."""
    found = []
    for split in ("search", "select", "heldout"):
        for number in range(each):
            for kind in KINDS:
                name = f"{split}-{kind.replace(' ', '-')}-{number}"
                found.append({"id": name, "split": split, "params": made(kind, name)})
    return found


def made(kind, name):
    rng = random.Random(name)
    return {"kind": kind, "number": rng.randint(100, 9999), "add": rng.randint(1, 9)}


def workspace(case):
    kind, number, add = case.params["kind"], case.params["number"], case.params["add"]
    told = f"the number is {number}" if kind == "plain" else "the number is in puzzle.txt"
    filler = "nothing to see here\n" * 600 if "long" in kind else ""
    test = f"print('add {add}')\n" if "test" in kind else "print('fine')\n"
    return {"statement": f"Puzzle {case.id}: {told}. Write it into answer.txt.\n",
            "files": {"puzzle.txt": f"{filler}the number is {number}\n{filler}", "test_puzzle.py": test}}


def right(params):
    """What answer.txt must hold."""
    number = params["number"] + (params["add"] if "test" in params["kind"] else 0)
    return f"{number}\nedge" if "edge" in params["kind"] else str(number)


def evaluate(candidate, case):
    said = candidate.files.get("answer.txt", b"").decode(errors="replace").strip()
    wanted = right(case.params)
    solved = said == wanted or ("\n" not in wanted and said == f"{wanted}\nedge")
    return {"score": float(solved), "feedback": f"{case.params['kind']}: " + ("right" if solved else "wrong")}
