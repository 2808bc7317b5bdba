"""The page of results: its tables, and the script that renews them."""

from __future__ import annotations

import shlex

from benchmarks import markdown
from benchmarks.run_all import BLOCK, RESULTS, ROOT, replaced

PAGE = """before
<!-- table -->
`evolve simulate`

old
<!-- end -->
between
<!-- table -->
`python -m benchmarks.long_run`

| old |
<!-- end -->
after
"""


def test_only_the_table_of_the_command_is_replaced() -> None:
    page = replaced(PAGE, "evolve simulate", "new\\1\n\n", "today, here")
    assert page.startswith(
        "before\n<!-- table -->\n`evolve simulate`\n\n```\nnew\\1\n```\n\ntoday, here\n<!-- end -->\n"
    )
    assert page[page.index("between") :] == PAGE[PAGE.index("between") :]
    again = replaced(page, "python -m benchmarks.long_run", "\n| a |\n|---|\n", "now")
    assert (
        "`python -m benchmarks.long_run`\n\n| a |\n|---|\n\nnow\n<!-- end -->\nafter\n"
        in again
    )
    assert [found["command"] for found in BLOCK.finditer(again)] == [
        "evolve simulate",
        "python -m benchmarks.long_run",
    ]


def test_the_commands_of_the_page_are_there() -> None:
    commands = [
        shlex.split(found["command"]) for found in BLOCK.finditer(RESULTS.read_text())
    ]
    modules = [words[2] for words in commands if words[:2] == ["python", "-m"]]
    assert len(commands) >= 8 and all(
        words[0] in ("python", "evolve") for words in commands
    )
    assert all(
        (ROOT / f"{module.replace('.', '/')}.py").is_file() for module in modules
    )


def test_a_table_is_markdown_in_even_columns() -> None:
    assert markdown.table(["name", "ms"], [["a", 1.5], ["longer", ""]]) == (
        "| name   |  ms |\n| ------ | --: |\n| a      | 1.5 |\n| longer |     |\n"
    )
