"""Compare the throughput of engines: the same scripted model and trivial task, in turn.

    python -m benchmarks.engine_throughput zero --count 500
    python -m benchmarks.engine_throughput latency lognormal hang

Peers are installed from the package index into separate virtual environments. evolve runs in full
Docker isolation; the peers run candidates in the process of their evaluator or next to it. CPU
seconds are those of the engine, all its children, its containers and Docker's daemons.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from benchmarks import markdown
from benchmarks.throughput.spent import account

HERE = Path(__file__).parent / "throughput"
CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "evolve-benchmarks"
)
PACKAGES = {"openevolve": "openevolve", "shinka": "shinka-evolve"}
WORKERS = 2
GIVE_UP_S = 1800.0


@dataclass(frozen=True)
class Setting:
    """A load on an engine; with a spread, latencies are log-normal."""

    count: int
    calls: int  # model calls in flight
    latency_s: float = 0.0
    spread: float = 0.0
    sleep_s: float = 0.0  # duration of a candidate
    hang_every: int = 0


@dataclass(frozen=True)
class Row:
    """The figures of one engine."""

    engine: str
    finished: int
    seconds: float
    per_second: float
    cpu_ms: float  # for each candidate, over all processes
    engine_ms: float  # of it in the engine, its scorers, git and the database
    inside_ms: float  # of it in containers: the fork server and the candidates
    daemons_ms: float  # of it in Docker's daemons
    peak_mb: float  # resident, the engine's own processes


def main() -> int:
    """Print a table for each scenario."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "scenario", nargs="+", choices=["zero", "latency", "lognormal", "hang"]
    )
    parser.add_argument("--count", type=int, help="candidates", default=None)
    parser.add_argument(
        "--engines",
        nargs="+",
        default=["evolve", "openevolve", "shinka"],
        choices=["evolve", "openevolve", "shinka"],
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    for name in given.scenario:
        setting = scenario(name, given.count)
        rows = [
            measure(engine, setting)
            for engine in given.engines
            if engine == "evolve" or name in ("zero", "latency")
        ]
        sys.stdout.write(
            json.dumps(
                {
                    "scenario": name,
                    "setting": asdict(setting),
                    "rows": [asdict(row) for row in rows],
                }
            )
            + "\n"
            if given.json
            else table(name, setting, rows)
        )
        sys.stdout.flush()
    return 0


def scenario(name: str, count: int | None) -> Setting:
    """Return the load of a scenario."""
    return {
        "zero": Setting(count or 500, 8),
        "latency": Setting(count or 1000, 32, latency_s=1.0, sleep_s=0.02),
        "lognormal": Setting(count or 300, 32, latency_s=5.0, spread=0.5, sleep_s=1.0),
        "hang": Setting(count or 90, 8, latency_s=0.1, hang_every=3),
    }[name]


def measure(engine: str, setting: Setting) -> Row:
    """Run one engine to its end and measure it."""
    environment = None if engine == "evolve" else installed(engine)
    with (
        tempfile.TemporaryDirectory() as folder,
        model(setting) as address,
        account() as own,
    ):
        evaluated = Path(folder) / "evaluated"
        command = own.command(
            COMMANDS[engine](setting, address, Path(folder), environment)
        )
        before = own.spent()
        started = time.perf_counter()
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=os.environ
                | {
                    "EVALUATED": str(evaluated),
                    "OPENAI_API_KEY": "none",
                    # as many replies as candidates
                    "EVOLVE_REPAIRS": "0",
                    "EVOLVE_MODEL_CALLS": str(setting.calls),
                },
            )
            watch = Watch(process.pid)
            process.wait(timeout=GIVE_UP_S)
        seconds = time.perf_counter() - started
        cpu = own.spent().since(before)
        finished = count_finished(engine, Path(folder), evaluated)
        if not finished:
            raise SystemExit(
                f"{engine} finished nothing: {(Path(folder) / 'log').read_text()[-2000:]}"
            )
    each = 1000.0 / finished
    return Row(
        engine,
        finished,
        seconds,
        finished / seconds,
        each * cpu.total,
        each * cpu.engine,
        each * cpu.containers,
        each * cpu.daemons,
        watch.peak_mb(),
    )


def evolve_command(
    setting: Setting, address: str, folder: Path, _: Path | None
) -> list[str]:
    return [
        str(Path(sys.executable).parent / "evolve"),
        "run",
        str(HERE / "native"),
        "--model",
        f"hosted_vllm/bench@{address}",
        "--operator",
        "rewrite",
        "--sandbox",
        "docker",
        "--workers",
        str(WORKERS),
        "--max-variants",
        str(setting.count),
        "--name",
        "r",
        "--window",
        "0",
    ]


def openevolve_command(
    setting: Setting, address: str, folder: Path, python: Path | None
) -> list[str]:
    (folder / "config.yaml").write_text(
        json.dumps(
            {  # JSON is YAML
                "max_iterations": setting.count,
                "checkpoint_interval": 10**6,
                "log_level": "ERROR",
                "diff_based_evolution": False,
                "llm": {
                    "api_base": address,
                    "api_key": "none",
                    "primary_model": "scripted",
                    "timeout": 120,
                },
                "evaluator": {
                    "parallel_evaluations": WORKERS
                    if setting.calls <= 8
                    else setting.calls,
                    "cascade_evaluation": False,
                    "timeout": 10,
                },
            }
        )
    )
    assert python is not None
    return [
        str(python.parent / "openevolve-run"),
        str(HERE / "openevolve" / "initial_program.py"),
        str(HERE / "openevolve" / "evaluator.py"),
        "--config",
        str(folder / "config.yaml"),
        "--output",
        str(folder / "out"),
        "--iterations",
        str(setting.count),
    ]


def shinka_command(
    setting: Setting, address: str, folder: Path, python: Path | None
) -> list[str]:
    assert python is not None
    settings = [
        f'evo.llm_models=["local/scripted@{address}"]',
        'evo.patch_types=["full"]',
        "evo.patch_type_probs=[1.0]",
        "evo.embedding_model=null",
        "evo.meta_rec_interval=null",
        "evo.llm_dynamic_selection=null",
    ]
    return [
        str(python.parent / "shinka_run"),
        "--task-dir",
        str(HERE / "shinka"),
        "--results_dir",
        str(folder / "out"),
        "--num_generations",
        str(setting.count),
        "--max-evaluation-jobs",
        str(WORKERS),
        "--max-proposal-jobs",
        str(setting.calls),
        "--no-verbose",
        *(word for text in settings for word in ("--set", text)),
    ]


COMMANDS = {
    "evolve": evolve_command,
    "openevolve": openevolve_command,
    "shinka": shinka_command,
}


def count_finished(engine: str, folder: Path, evaluated: Path) -> int:
    """Return the number of evaluated candidates, without the seed."""
    if engine != "evolve":
        return len(evaluated.read_text().splitlines()) - 1 if evaluated.exists() else 0
    done = subprocess.run(
        [str(Path(sys.executable).parent / "evolve"), "status", "r", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(json.loads(done.stdout)["variants"])


def installed(engine: str) -> Path:
    """Return the Python of a virtual environment with the peer, created once."""
    python = CACHE / engine / "bin" / "python"
    if not (python.parent / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(CACHE / engine)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", PACKAGES[engine]], check=True
        )
        (python.parent / "installed").touch()
    return python


@contextmanager
def model(setting: Setting) -> Iterator[str]:
    """Run the scripted model; yield its address."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "benchmarks.throughput.model",
            "--latency",
            str(setting.latency_s),
            "--spread",
            str(setting.spread),
            "--sleep",
            str(setting.sleep_s),
            "--hang-every",
            str(setting.hang_every),
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE.parents[1],
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


class Watch:
    """A thread that records the peak memory of a process and its children."""

    def __init__(self, pid: int) -> None:
        self._process, self._peak = psutil.Process(pid), 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def peak_mb(self) -> float:
        self._thread.join(timeout=2)
        return self._peak / 1e6

    def _look(self) -> None:
        while (
            self._process.is_running()
            and self._process.status() != psutil.STATUS_ZOMBIE
        ):
            total = 0
            try:
                for process in (self._process, *self._process.children(recursive=True)):
                    total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue  # it ended in the meantime
            self._peak = max(self._peak, total)
            time.sleep(0.5)


def table(name: str, setting: Setting, rows: list[Row]) -> str:
    """Return the table, with the ratio of evolve to each peer."""
    ours = next((row for row in rows if row.engine == "evolve"), None)

    def ratio(row: Row) -> str:
        return (
            f"{ours.per_second / row.per_second:.1f} x"
            if ours and row is not ours
            else ""
        )

    return (
        f"{name}: {described(setting)}\n\n"
        + markdown.table(
            [
                "engine",
                "finished",
                "seconds",
                "a second",
                "CPU ms each",
                "in the engine",
                "in containers",
                "in daemons",
                "peak MB",
                "ours is",
            ],
            (
                [
                    row.engine,
                    row.finished,
                    f"{row.seconds:.1f}",
                    f"{row.per_second:.1f}",
                    f"{row.cpu_ms:.1f}",
                    f"{row.engine_ms:.1f}",
                    f"{row.inside_ms:.1f}",
                    f"{row.daemons_ms:.1f}",
                    f"{row.peak_mb:.0f}",
                    ratio(row),
                ]
                for row in rows
            ),
        )
        + "\n"
    )


def described(setting: Setting) -> str:
    """Describe a load in words."""
    spread = f" (log-normal, {setting.spread:g})" if setting.spread else ""
    hang = (
        f", one in {setting.hang_every} hangs (limit 3 s)" if setting.hang_every else ""
    )
    return (
        f"{setting.count:,} candidates of {1000 * setting.sleep_s:.0f} ms{hang}, "
        f"{setting.calls} calls in flight, latency {setting.latency_s:g} s{spread}, "
        f"{WORKERS} evaluations at a time"
    )


if __name__ == "__main__":
    sys.exit(main())
