"""A small coding agent: reads a problem, then thinks and acts in turn until it says that it is done.

Run it in the folder of a problem; the statement is in the file that EVOLVE_STATEMENT names.
"""

from __future__ import annotations

import os
import re
import sys

import merge
import model
import tools

HERE = os.path.dirname(os.path.abspath(__file__))
MAX_STEPS = 100  # the limits of a case end it before
MOST_REPEATS = 2  # of one answer
BLOCK = re.compile(
    r"^(`{3,})\n?(bash|sh|edit|python3?|py|done|[\w./-]+\.\w+)\b[ \t]*([^\n]*)(?:\n|\Z)"
    # the last may be left open
    r"(.*?)(?:^\1[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)


def main() -> None:
    """Work until it is done, no more answers come, or nothing new in them."""
    messages, last, same = begin(), "", 0
    for step in range(1, MAX_STEPS + 1):
        try:
            answer = model.ask(messages, same)
        except model.Stopped as why:
            say(f"stopped: {why}")
            return
        say(f"--- step {step}\n{answer}")
        last, same = answer, same + 1 if answer == last else 0
        if same == MOST_REPEATS:
            say("stopped: it says the same again and again")
            return
        blocks = blocks_of(answer)
        result = act(blocks)
        if blocks and blocks[-1][0] == "done" and "went wrong" not in result:
            return
        say(f"--- result\n{result}")
        messages += [
            {"role": "assistant", "content": answer},
            {"role": "user", "content": result},
        ]


def begin() -> list[dict[str, str]]:
    """The first messages: how to work, and the problem."""
    with open(os.environ["EVOLVE_STATEMENT"]) as file:
        statement = file.read().strip()
    values = {"statement": statement, "files": tools.files()}
    problem = re.sub(
        r"\{(statement|files)\}", lambda name: values[name[1]], prompt("problem")
    )
    return [
        {"role": "system", "content": prompt("system")},
        {"role": "user", "content": problem},
    ]


def blocks_of(answer: str) -> list[tuple[str, str, str]]:
    """(kind, path, body) of each block; code whose last line is the word done says both."""
    found = []
    for _, kind, path, body in BLOCK.findall(answer):
        code = (
            re.sub(r"(^|\n)done\s*\Z", r"\1", body) if kind.startswith("py") else body
        )
        found += [(kind, path, code)] if code.strip() or kind == "done" else []
        found += [("done", "", "")] if code != body else []
    return found


def act(blocks: list[tuple[str, str, str]]) -> str:
    """Carry out the blocks of an answer in their order, up to one that goes wrong."""
    if not blocks:
        return prompt("no_block")
    results = []
    for kind, path, body in blocks:
        if kind == "done":
            break
        result = carry_out(kind, path.strip(), body)
        results.append(result)
        if not tools.went_well(result):
            results.append(
                f"the {kind} block went wrong; nothing after it was carried out"
            )
            break
    return "\n".join(results)


def carry_out(kind: str, path: str, body: str) -> str:
    """One block; says what came of it."""
    if kind in ("bash", "sh"):
        return tools.bash(body)
    if kind == "edit":
        return tools.edit(path, body)
    if kind.startswith("py") or kind.endswith(".py"):
        return merge.python(kind if kind.endswith(".py") else path, body)
    return tools.write(kind, body)


def prompt(name: str) -> str:
    """A text from the folder prompts/."""
    with open(os.path.join(HERE, "prompts", f"{name}.md")) as file:
        return file.read()


def say(text: str) -> None:
    """Print at once: what was said must be there when the time is up."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
