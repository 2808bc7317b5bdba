"""What becomes of a real model's replies: forms of answer, repair, search, at equal model calls.

    python -m benchmarks.model_replies --model vllm:PATH --calls 20 --folder DIR [TASK]

Each row is a run of its own; one that is there already is only read. The last column is the share of
prompt tokens that a vLLM server had in its prefix cache during the run, by its own /metrics.
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

import requests

from archive import ArchiveReader, CallState, State
from evolve.config import resolve
from evolve.llm import local_models

RUNS: Mapping[str, tuple[list[str], dict[str, str]]] = {
    "diff": (["--operator", "diff"], {}),
    "rewrite": (["--operator", "rewrite"], {}),
    "norepair": (["--operator", "rewrite"], {"EVOLVE_REPAIRS": "0"}),
    "best_of_n": (["--operator", "rewrite", "--policy", "best_of_n"], {}),
}
_COUNTER = re.compile(r"^vllm:prefix_cache_(queries|hits)_total\{[^}]*\} (\S+)$", re.MULTILINE)


def cache_counters(address: str | None) -> dict[str, float]:
    """Prompt tokens that the server looked up in its cache, and those that it found."""
    if address is None:
        return {}
    text = requests.get(address.removesuffix("/v1") + "/metrics", timeout=10).text
    return {name: float(value) for name, value in _COUNTER.findall(text)}


async def run_all(model: str, task: Path, folder: Path, calls: int) -> None:
    """Every run that is not there, at one server."""
    if all((folder / name).exists() for name in RUNS):
        return
    settings = resolve({"model": (model,)}, {}, Path("task.toml")).settings
    async with local_models(settings, lambda message: None) as addresses:
        for name, (options, env) in RUNS.items():
            if (folder / name).exists():
                continue
            before = cache_counters(addresses.get(model))
            command = [str(Path(sys.executable).parent / "evolve"), "run", str(task), "--model", model,
                       "--name", name, "--runs-dir", str(folder), "--max-calls", str(calls),
                       "--max-variants", "100000", *options]
            await asyncio.to_thread(subprocess.run, command, env=os.environ | env, check=True)
            after = cache_counters(addresses.get(model))
            found = {key: after[key] - before.get(key, 0.0) for key in after}
            (folder / f"{name}.cache.json").write_text(json.dumps(found))


def row(folder: Path, name: str) -> str:
    """One line of the table."""
    archive = ArchiveReader.open(folder / name / "archive.db")
    calls, proposals, scores = archive.calls(), archive.proposals(), archive.scores()
    archive.close()
    replies = sum(call.state is CallState.REPLIED for call in calls)
    ended = [p for p in proposals if p.number > 0 and p.state.finished]
    scored = sum(p.state is State.SCORED for p in ended)
    failed = sum(p.state is State.FAILED for p in ended)
    reasons = Counter(p.reason for p in ended if p.reason).most_common()
    tokens = sum(call.completion_tokens for call in calls)
    cache = folder / f"{name}.cache.json"
    found = json.loads(cache.read_text()) if cache.exists() else {}
    hits = f"{found['hits'] / found['queries']:.0%}" if found.get("queries") else "-"
    share = (scored + failed) / replies if replies else 0.0
    return (f"| {name} | {replies} | {len(ended)} | {scored + failed} ({share:.0%}) | {scored} | "
            f"{max(scores.values()):g} | {tokens:,} | {hits} | "
            f"{', '.join(f'{reason} {count}' for reason, count in reasons) or '-'} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", nargs="?", type=Path, default=Path("tasks/cap_set"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(run_all(given.model, given.task, given.folder, given.calls))
    lines = ["| run | replies | candidates | new and evaluated (of replies) | scored | best "
             "| reply tokens | prefix cache | not scored because |", "| --- " * 9 + "|",
             *(row(given.folder, name) for name in RUNS)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
