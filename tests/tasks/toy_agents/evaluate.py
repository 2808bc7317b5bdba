"""A case is a word that a program must print; the hidden check runs the program."""

WORDS = ["apple", "birch", "cedar", "daisy", "elder", "fern"]


def cases():
    found = [{"id": word, "params": {"word": word}} for word in WORDS]
    return found + [{"id": "held", "split": "heldout", "params": {"word": "grass"}}]


def workspace(case):
    word = case.params["word"]
    return {"statement": f"Make main.py print the word {word}.\n",
            "files": {"main.py": "print('nothing')\n"}}


def evaluate(candidate, case):
    candidate.put({"hidden_check.py": "import main\n"})
    done = candidate.run(["python3", "hidden_check.py"], timeout_s=5)
    right = done.stdout.decode().strip() == case.params["word"]
    return {"score": float(right), "feedback": "" if right else "main.py prints something else"}
