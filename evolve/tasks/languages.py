"""Tasks in other languages that `evolve init --language` writes.

Each reads numbers from standard input and writes one for each.
"""

from typing import NamedTuple


class Language(NamedTuple):
    """A language of a new task.

    Attributes:
        name: its name in prompts
        file: the seed's file
        tools: commands of this machine that the sandbox needs
        build: command that builds the program; empty if there is nothing to build
        start: command that runs it
        program: the seed, with `{start}` and `{end}` for the markers
    """

    name: str
    file: str
    tools: tuple[str, ...]
    build: tuple[str, ...]
    start: tuple[str, ...]
    program: str


_C = """#include <stdio.h>
#include <math.h>

// {start}
double approximate(double x) {{
    double y = x;
    y += 0.12 * x * x;
    y -= 0.01 * x;
    return y;
}}
// {end}

int main(void) {{
    double x;
    while (scanf("%lf", &x) == 1) printf("%.17g\\n", approximate(x));
    return 0;
}}
"""
_JAVA = """import java.util.Scanner;

public class Main {{
    // {start}
    static double approximate(double x) {{
        double y = x;
        y += 0.12 * x * x;
        y -= 0.01 * x;
        return y;
    }}
    // {end}

    public static void main(String[] arguments) {{
        Scanner in = new Scanner(System.in);
        StringBuilder out = new StringBuilder();
        while (in.hasNext()) out.append(approximate(Double.parseDouble(in.next()))).append('\\n');
        System.out.print(out);
    }}
}}
"""
_RUST = """use std::io::Read;

// {start}
fn approximate(x: f64) -> f64 {{
    let mut y = x;
    y += 0.12 * x * x;
    y -= 0.01 * x;
    y
}}
// {end}

fn main() {{
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    for word in text.split_whitespace() {{
        println!("{{}}", approximate(word.parse().unwrap()));
    }}
}}
"""
_GO = """package main

import "fmt"

// {start}
func approximate(x float64) float64 {{
	y := x
	y += 0.12 * x * x
	y -= 0.01 * x
	return y
}}
// {end}

func main() {{
	var x float64
	for {{
		if n, _ := fmt.Scan(&x); n != 1 {{
			break
		}}
		fmt.Println(approximate(x))
	}}
}}
"""
_JAVASCRIPT = """// {start}
function approximate(x) {{
    let y = x;
    y += 0.12 * x * x;
    y -= 0.01 * x;
    return y;
}}
// {end}

const text = require("fs").readFileSync(0, "utf8");
for (const word of text.split(/\\s+/).filter(Boolean)) console.log(approximate(Number(word)));
"""
_R = """# {start}
approximate <- function(x) {{
    y <- x
    y <- y + 0.12 * x * x
    y <- y - 0.01 * x
    y
}}
# {end}

for (x in scan(file("stdin"), quiet = TRUE)) cat(format(approximate(x), digits = 17), "\\n")
"""
_GO_BUILD = ("env", "HOME=/tmp", "GOCACHE=/tmp/go", "GO111MODULE=off", "go", "build")
_R_TOOLS = ("Rscript", "R", "bash", "sh", "sed", "uname", "rm", "dirname")
LANGUAGES: dict[str, Language] = {
    "c": Language(
        "c",
        "main.c",
        ("gcc",),
        ("gcc", "-O2", "-o", "main", "main.c", "-lm"),
        ("./main",),
        _C,
    ),
    "cpp": Language(
        "cpp",
        "main.cpp",
        ("g++",),
        ("g++", "-O2", "-o", "main", "main.cpp"),
        ("./main",),
        _C.replace("stdio.h", "cstdio").replace("math.h", "cmath"),
    ),
    "java": Language(
        "java",
        "Main.java",
        ("javac", "java"),
        ("javac", "Main.java"),
        ("java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "Main"),
        _JAVA,
    ),
    "rust": Language(
        "rust", "main.rs", ("rustc",), ("rustc", "-O", "main.rs"), ("./main",), _RUST
    ),
    "go": Language(
        "go",
        "main.go",
        ("go", "env"),
        (*_GO_BUILD, "-o", "main", "main.go"),
        ("./main",),
        _GO,
    ),
    "javascript": Language(
        "javascript", "main.js", ("node",), (), ("node", "main.js"), _JAVASCRIPT
    ),
    "r": Language(
        "r", "main.R", _R_TOOLS, (), ("Rscript", "--no-environ", "main.R"), _R
    ),
}

TASK = '''name = "{name}"
description = """
Approximate sin(x) on [0, 3]: the program reads numbers from standard input and writes a line for each.
(The model reads this text. Describe input, output and the goal.)
"""
language = "{language}"
entry = "{file}"

[limits]
time_s = 30                 # for building, and for running
memory_mb = 2048
processes = 256

[environment]
tools = {tools}

[[cases]]
id = "main"
params = {{ points = 50 }}

[[cases]]
id = "unseen"
split = "heldout"           # never seen by the search
params = {{ points = 501 }}
'''

EVALUATE = '''"""The scorer. It is trusted and runs outside the sandbox; the candidate runs inside."""

import math

from evolve import Candidate, Case

BUILD = {build}
START = {start}


def evaluate(candidate: Candidate, case: Case) -> dict:
    if BUILD:
        built = candidate.run(BUILD)
        if built.exit:
            candidate.fail(built.stderr.decode(errors="replace")[-1000:])
    points = [3.0 * k / (case.params["points"] - 1) for k in range(case.params["points"])]
    done = candidate.run(START, stdin="\\n".join(map(repr, points)))
    try:
        values = [float(word) for word in done.stdout.split()]
    except ValueError:
        candidate.fail(f"a line is not a number: {{done.stdout[:200]!r}}")
    if len(values) != len(points) or not all(map(math.isfinite, values)):
        candidate.fail(f"{{len(values)}} numbers for {{len(points)}} points: {{done.stderr[:500]!r}}")
    errors = [abs(value - math.sin(x)) for x, value in zip(points, values)]
    worst = max(errors)
    where = points[errors.index(worst)]
    return {{"score": -worst, "feedback": f"largest error {{worst!r}} at x = {{where:.3f}}"}}
'''


def texts_of(language: str, name: str) -> dict[str, str]:
    """Return the files of a new task.

    Args:
        language: a key of `LANGUAGES`
        name: of the task

    Returns:
        Path -> text.
    """
    found = LANGUAGES[language]
    markers = {"start": "EVOLVE-BLOCK-START", "end": "EVOLVE-BLOCK-END"}
    return {
        "task.toml": TASK.format(
            name=name,
            language=found.name,
            file=found.file,
            tools=[*found.tools],
        ),
        f"initial/{found.file}": found.program.format(**markers),
        "evaluate.py": EVALUATE.format(build=[*found.build], start=[*found.start]),
    }
