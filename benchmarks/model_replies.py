"""Measure the use of a real model's replies: formats of answers, repair, search.

    python -m benchmarks.model_replies --model vllm:PATH --variants 20 --folder DIR [TASK]

Each row is a separate run with the given number of new, evaluated variants; an existing run is only
read. "best of N calls" uses the first N replies of each run, where N is the number of replies of the
shortest run. The cache column is the share of prompt tokens that a vLLM server found in its prefix
cache during the run, from its /metrics.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import requests

from benchmarks import markdown
from evolve.archive import ArchiveReader, Call, CallState, Proposal, State
from evolve.config import resolve
from evolve.models import local_models

RUNS: Mapping[str, tuple[list[str], dict[str, str]]] = {
    "diff": (["--operator", "diff"], {}),
    "rewrite": (["--operator", "rewrite"], {}),
    "norepair": (["--operator", "rewrite"], {"EVOLVE_REPAIRS": "0"}),
    "best_of_n": (["--operator", "rewrite", "--policy", "best_of_n"], {}),
}
_COUNTER = re.compile(
    r"^vllm:prefix_cache_(queries|hits)_total\{[^}]*\} (\S+)$", re.MULTILINE
)


def cache_counters(address: str | None) -> dict[str, float]:
    """Return the prompt tokens that the server looked up in its cache, and the hits."""
    if address is None:
        return {}
    text = requests.get(address.removesuffix("/v1") + "/metrics", timeout=10).text
    return {name: float(value) for name, value in _COUNTER.findall(text)}


async def run_all(model: str, task: Path, folder: Path, variants: int) -> None:
    """Run all missing runs with one server."""
    if all((folder / name).exists() for name in RUNS):
        return
    settings = resolve({"model": (model,)}, {}, Path("task.toml")).settings
    async with local_models(settings, lambda message: None) as addresses:
        for name, (options, env) in RUNS.items():
            if (folder / name).exists():
                continue
            before = cache_counters(addresses.get(model))
            command = [
                str(Path(sys.executable).parent / "evolve"),
                "run",
                str(task),
                "--model",
                model,
                "--name",
                name,
                "--runs-dir",
                str(folder),
                "--max-variants",
                str(variants),
                "--max-calls",
                str(5 * variants),
                *options,
            ]
            await asyncio.to_thread(
                subprocess.run, command, env=os.environ | env, check=True
            )
            after = cache_counters(addresses.get(model))
            found = {key: after[key] - before.get(key, 0.0) for key in after}
            (folder / f"{name}.cache.json").write_text(json.dumps(found))


class Run(NamedTuple):
    """The results of one run."""

    name: str
    calls: list[Call]  # with a reply, in the order in which they were sent
    proposals: list[Proposal]  # finished ones
    scores: dict[str, float]
    cached: str  # share of the prompt tokens


def read(folder: Path, name: str) -> Run:
    """Read a finished run."""
    archive = ArchiveReader.open(folder / name / "archive.db")
    calls = [call for call in archive.calls() if call.state is CallState.REPLIED]
    ended = [p for p in archive.proposals() if p.number > 0 and p.state.finished]
    scores = archive.scores()
    archive.close()
    cache = folder / f"{name}.cache.json"
    found = json.loads(cache.read_text()) if cache.exists() else {}
    hits = f"{found['hits'] / found['queries']:.0%}" if found.get("queries") else "-"
    return Run(name, sorted(calls, key=lambda call: call.id), ended, scores, hits)


def best_within(run: Run, calls: int) -> float:
    """Return the best score from the first `calls` replies, for tasks that maximize."""
    later = {call.proposal for call in run.calls[calls:]}
    return max(score for proposal, score in run.scores.items() if proposal not in later)


def row(run: Run, equal: int) -> list[str]:
    """Return one line of the table."""
    scored = sum(p.state is State.SCORED for p in run.proposals)
    new = scored + sum(p.state is State.FAILED for p in run.proposals)
    reasons = Counter(p.reason for p in run.proposals if p.reason).most_common()
    tokens = sum(call.completion_tokens for call in run.calls)
    return [
        run.name,
        str(len(run.calls)),
        str(len(run.proposals)),
        f"{new} ({new / max(len(run.calls), 1):.0%})",
        str(scored),
        f"{max(run.scores.values()):g}",
        f"{best_within(run, equal):g}",
        f"{tokens:,}",
        run.cached,
        ", ".join(f"{reason} {count}" for reason, count in reasons) or "-",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", nargs="?", type=Path, default=Path("tasks/cap_set"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--variants", type=int, default=20)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(run_all(given.model, given.task, given.folder, given.variants))
    runs = [read(given.folder, name) for name in RUNS]
    equal = min(len(run.calls) for run in runs)
    sys.stdout.write(
        markdown.table(
            [
                "run",
                "replies",
                "candidates",
                "new and evaluated (of replies)",
                "scored",
                "best",
                f"best of {equal} calls",
                "reply tokens",
                "prefix cache",
                "not scored because",
            ],
            (row(run, equal) for run in runs),
        )
    )


if __name__ == "__main__":
    main()
