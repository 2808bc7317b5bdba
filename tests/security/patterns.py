"""All regular expressions of the code base, found in its syntax trees, and texts that are bad for them."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import ROOT

CALLS = (
    "compile",
    "match",
    "fullmatch",
    "search",
    "findall",
    "finditer",
    "sub",
    "subn",
    "split",
)
# agents and programs of others: data, which runs inside sandboxes
LEFT_OUT = (
    "evolve/agents/seed/",
    "evolve/peers/standins/",
    "evolve/archive",
    "evolve/sandbox",
)
# values of names that are local where a pattern is made
LOCALS = {"imported": "torch|jax", "name": "torch", "tag": "think"}


class Found(NamedTuple):
    """A pattern of the code base.

    Attributes:
        key: file, and its name or its text
        pattern: compiled
        uses: the methods that are called on it
    """

    key: str
    pattern: re.Pattern[Any]
    uses: frozenset[str]


def all_patterns() -> Iterator[Found]:
    """Find every call of `re`; also nested ones, and in functions."""
    for package in ("evolve", "archive", "sandbox"):
        for path in sorted((ROOT / package).rglob("*.py")):
            inside = path.relative_to(ROOT).as_posix()
            if not inside.startswith(LEFT_OUT):
                yield from _patterns_of(path, inside)


def _patterns_of(path: Path, inside: str) -> Iterator[Found]:
    text = path.read_text()
    if not re.search(r"\bre\b", text):
        return
    tree = ast.parse(text)
    assert "re" not in {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }, f"{inside}: import re as a whole, so that its patterns are found"
    names = {
        id(node.value): node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_of_re(node.func):
            shown = names.get(id(node)) or ast.unparse(node.args[0])[:32]
            assert isinstance(node.func, ast.Attribute)
            uses = {node.func.attr}
            if uses == {"compile"}:
                uses = {
                    use.attr
                    for use in ast.walk(tree)
                    if isinstance(use, ast.Attribute)
                    and isinstance(use.value, ast.Name)
                    and use.value.id == shown
                }
            yield Found(
                f"{inside} {shown}",
                _compiled(node, inside),
                frozenset(uses or {"match", "fullmatch", "search", "finditer"}),
            )


def _is_of_re(called: ast.expr) -> bool:
    return (
        isinstance(called, ast.Attribute)
        and isinstance(called.value, ast.Name)
        and called.value.id == "re"
        and called.attr in CALLS
    )


def _compiled(call: ast.Call, inside: str) -> re.Pattern[Any]:
    module = inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    module = module if module.startswith("evolve.") else f"evolve.{module}"
    spaces = vars(importlib.import_module(module)) | LOCALS

    def value(node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), inside, "eval"), spaces)

    flags = 0
    if isinstance(call.func, ast.Attribute) and call.func.attr == "compile":
        flags = value(call.args[1]) if len(call.args) > 1 else 0
    for keyword in call.keywords:
        flags |= value(keyword.value) if keyword.arg == "flags" else 0
    last = call.args[-1]
    if len(call.args) > 2 and isinstance(last, ast.Attribute):
        flags |= value(last)
    return re.compile(value(call.args[0]), flags)


# key -> texts that are bad for the pattern, beside those that all are tried with
LISTED: dict[str, tuple[str, ...]] = {
    "evolve/trust/dotenv.py _ADDRESS": ("A_", "_API_BASE"),
    "evolve/trust/dotenv.py _LOOPBACK": ("http://127.1",),
    "evolve/trust/dotenv.py _NEVER": ("PYTHONA", "GIT_"),
    "evolve/agents/flags.py _CARRIED_OUT": (),
    "evolve/agents/flags.py '\\\\b(?:curl|wget|ncat|nc|telnet|": (),
    "evolve/agents/flags.py '/proc\\\\b(?!/cpuinfo|/meminfo)|/": (),
    "evolve/agents/flags.py '\\\\bevaluate\\\\.py\\\\b|\\\\btask\\\\.t": (),
    "evolve/agents/flags.py '\\\\bgit\\\\s+(?:show|stash)\\\\b|\\\\b": (),
    "evolve/agents/flags.py '\\\\b(?:OPENAI|ANTHROPIC|AWS|AZUR": (),
    "evolve/agents/flags.py '\\\\bnohup\\\\b|\\\\bsetsid\\\\b|\\\\bcro": (),
    "evolve/agents/flags.py '(?i)(?:delet|remov)e[sd]? (?:th": (),
    "evolve/checking/attacks.py _MAIN": (),
    "evolve/checking/attacks.py _FUTURE": (),
    "evolve/checking/check.py _TIMED": (),
    "evolve/checking/check.py _CONSTANT_SEED": (),
    "evolve/export/report.py _MARKS": (),
    "evolve/export/report.py '`+'": (),
    "evolve/models/adapting.py _WORD": (),
    "evolve/models/sizes.py '(?:context limit:|resulted in|c": (),
    "evolve/models/sizes.py '\\\\b([0-9][0-9,]{0,11}) (?:in th": (),
    "evolve/models/sizes.py _NUMBER": (),
    "evolve/models/sizes.py _OVER": (),
    "evolve/models/sizes.py _WINDOW": (),
    "evolve/models/endpoints.py _REASONING": (),
    "evolve/models/names.py _ADDRESS": (),
    "evolve/models/vllm.py \"No module named '?vllm|No such ": (),
    "evolve/models/vllm.py '(?i)out of memory|No available ": (),
    'evolve/models/vllm.py "(?i)not a local folder and is n': (),
    "evolve/models/vllm.py '(?i)Failed to infer device type": (),
    "evolve/models/vllm.py '[^\\\\w.-]+'": (),
    "evolve/operators/edits/apply.py _DELETE": ("DELETE a", "DELETE ` "),
    "evolve/operators/edits/apply.py _SURROGATE": (),
    "evolve/operators/edits/search_replace.py _WORD": (),
    "evolve/operators/edits/bare.py _CODE": ("x: a", "x: [", "from a."),
    "evolve/operators/edits/bare.py _DEFINITION": ("from a.", "a.", "if a ", "a = "),
    "evolve/operators/edits/fences.py _GLUED": ("a```", "a ", "``` "),
    "evolve/operators/edits/left_out.py _ANY": (),
    "evolve/operators/edits/left_out.py _DOTS": (),
    "evolve/operators/edits/left_out.py _KEPT": (),
    "evolve/operators/edits/left_out.py _REST_OF": ("# rest of code ", "# the rest "),
    "evolve/operators/edits/lines.py FENCE": ("``` ", "~~~ "),
    "evolve/operators/edits/places.py _HINT": (":start_line:1 ",),
    "evolve/operators/edits/plain.py _ENTITY": ("&amp", "&lt;&", "&#0"),
    "evolve/operators/edits/plain.py _NUMBERED": ("1 | ", "11: "),
    "evolve/operators/edits/program.py _TOKEN": (),
    "evolve/operators/edits/search_replace.py _END": (">>>>> ",),
    "evolve/operators/edits/thoughts.py _END": ("</think> ", "</thought"),
    "evolve/operators/edits/thoughts.py _START": ("<think>\n", "<thoughts"),
    "evolve/operators/edits/unified.py _PATCH": ("*** Update File: ",),
    "evolve/operators/edits/fences.py '[\\\\s:{,]'": (),
    "evolve/operators/edits/search_replace.py _SEARCH": (),
    "evolve/operators/edits/search_replace.py _DIVIDER": (),
    "evolve/operators/edits/search_replace.py _REPLACE": (),
    "evolve/operators/edits/search_replace.py _FENCE": (),
    "evolve/operators/edits/search_replace.py bare": (),
    "evolve/operators/edits/search_replace.py '[\\\\w./+-]+'": (),
    "evolve/operators/edits/unified.py _HUNK": (),
    "evolve/operators/edits/unified.py _META": (),
    "evolve/operators/edits/unified.py '^--- (\\\\S+)'": (),
    "evolve/operators/edits/unified.py '^\\\\+\\\\+\\\\+ (\\\\S+)'": (),
    "evolve/operators/edits/unified.py '^[ab]/'": (),
    "evolve/operators/reflect.py NEW_TEXT": ("<new_text>\n", "<new_text> "),
    "evolve/operators/reflect.py GAP": (),
    "evolve/operators/reflect.py '\\\\AWHAT CHANGES:\\\\s*(one senten": (),
    "evolve/peers/answers.py _WORD": (),
    "evolve/plugins.py _CHOICE": (),
    "evolve/scripted/replies.py _CURRENT": (),
    "evolve/tasks/editable.py _SAFE": (),
    "evolve/checking/check.py _TOLERANCE": ("abs(", "abs(<", "atol "),
    "evolve/peers/subprocesses.py _PATH": ("/", "/" * 50, "/x '"),
    "evolve/tasks/peers/tools.py _COMMAND": ("| ", "|\t", "& a", "\n "),
    "evolve/tasks/peers/tools.py _NAME": (),
    "evolve/tasks/peers/tools.py _NOT_COPIED": ("python3.", "9"),
    "evolve/tasks/peers/packages.py _NAME": (),
    "evolve/tasks/peers/packages.py '[-_.]+'": (),
    "evolve/tasks/peers/packages.py f'^[ \\\\t]*(import|from)[ \\\\t]+{r": (),
    "evolve/tasks/peers/peer.py large": (),
    "evolve/scripted/replies.py _PAIR": (),
    "evolve/text.py _UNSEEN": (),
    "evolve/evaluation/printed.py _CONTROL": (),
    "evolve/view/terminal/lines.py '\\\\d+'": (),
    "evolve/view/web/templates.py _PICTURE": (),
    "archive/rescue.py _ID": (),
    "archive/rescue.py _SHA": (),
    "sandbox/cache.py _ERRNO": ("[Errno 1", "[Errno "),
    "archive/source.py _HASH": ('\\"""', "\\'", '"""\\"'),
    "archive/source.py _SLASH": ("/*a", '\\"""', "\\'"),
    "sandbox/bwrap.py _VERSION": (),
    "sandbox/inside/objects.py _DTYPE": (),
    "sandbox/rootfs.py _LDD_PATH": (),
    "sandbox/session.py _FOLDER": ("/candidate-1", "/candidate-"),
    "sandbox/session.py _ADDRESS": (),
    "sandbox/toolchain.py _LEFT_OUT": (),
    "sandbox/toolchain.py _NAME": (),
    "sandbox/toolchain.py '[,|]'": (),
    "archive/git.py _IDENTITY": (),
    "sandbox/pip.py _PASSED_ON": (),
    "sandbox/pip.py _SECRET": (),
    "sandbox/pip.py _SETTING": (),
    "evolve/evaluation/failures.py _FRAME": (),
    "evolve/operators/templates.py '`+'": (),
}

UNITS = (
    *"a0_ \n\t-/.`'\"\\#:=<>()[]{}*+,~@|;%é…\r\0",
    *(
        "... ",
        "git ",
        "```\n",
        "~~~x\n",
        "a.",
        "a/",
        "a-",
        "--",
        "\\a",
        "''",
        '""',
        "a b ",
    ),
    *(
        "\n\n",
        " \n",
        "\n ",
        "#.",
        "# ",
        "<a>",
        "</",
        "@@",
        "0.",
        "e+",
        "1e",
        "a:",
        ":a",
        "a=",
    ),
    *(
        "//",
        "/*",
        "*/",
        "${",
        "{{",
        "{a",
        "`a",
        "**",
        "a`",
        "/*a",
        '\\"""',
        "\\'",
        "<think>\n",
        "<new_text>\n",
    ),
)


def bad_texts(
    pattern: re.Pattern[Any], length: int, more: Sequence[str]
) -> Iterator[str]:
    """Yield texts of a length that make bad patterns slow: much that nearly matches."""
    words = sorted({*re.findall(r"[A-Za-z<@#=][\w@#=-]{2,}", str(pattern.pattern))})
    for unit in (
        *UNITS,
        *more,
        *words,
        *(f"{word} " for word in words),
        *(f"{w}\n" for w in words),
    ):
        run = (unit * (length // len(unit) + 1))[:length]
        yield from (run, f"{run}!", f"a{run}a", f"\n{run}\n")
    for word in words:
        for fill in "a \n.-":
            yield (word + fill * length)[:length]
            yield ("\n" + word + fill * 40) * (length // (len(word) + 41))
    opened = [
        unit for unit in ("'", '"', "'''", '"""', "/*", "```", "<", "{", "[") if unit
    ]
    for unit in opened:
        yield (unit + "a\n" * length)[:length]
        yield (unit + "\\" * length)[:length]
