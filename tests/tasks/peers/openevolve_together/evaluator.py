"""Executes the program's text in its own process: it can't be separated from it."""


def evaluate(program_path):
    names = {}
    with open(program_path) as file:
        exec(file.read(), names)
    return {"combined_score": names["the_answer"] / 100}
