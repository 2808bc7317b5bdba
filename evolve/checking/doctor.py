"""Checks of a machine and a task, each with the command that fixes it."""

import asyncio
import platform
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from evolve.checking.findings import Finding
from evolve.checking.models import examine_model
from evolve.config import Settings, load_keys, resolve
from evolve.errors import INSTALL_GIT, ConfigError, EvolveError
from evolve.evaluation import confinement
from evolve.evaluation.evaluator import Evaluator, Verdict
from evolve.peers.formats import CAUGHT
from evolve.runs.build import check_prompts
from evolve.runs.evaluator import open_evaluator, score_seed
from evolve.runs.one_off import alone
from evolve.sandbox import Pool, SandboxError, SandboxSpec, make_provider
from evolve.sandbox.contract import QUICK, broken_promises
from evolve.sandbox.inside import wire
from evolve.search.setup import unmeasured
from evolve.tasks import SPLITS, Task, load_task
from evolve.tasks.peers.packages import packages_of
from evolve.text import Note, quoted

_ANSWER = b"def answer(n):\n    return n + 1\n"


async def examine(
    task_dir: Path | None,
    sandbox: str,
    models: Sequence[str],
    note: Note,
    fix: bool = False,
) -> list[Finding]:
    """Run all checks, quick ones first.

    Args:
        task_dir: also check this task; None for none
        sandbox: name of the sandbox, or "auto"
        models: also ask these models
        note: called with messages for people
        fix: write a missing requirements.txt

    Returns:
        Findings in the order of the checks.
    """
    git = Finding("ok", "git")
    if shutil.which("git") is None:
        git = Finding("fail", "git is not installed", INSTALL_GIT)
    python = f"Python {platform.python_version()} on {platform.machine()}"
    findings = [Finding("ok", python), git]
    names = ("docker", "bubblewrap") if sandbox == "auto" else (sandbox,)
    providers = [await _provider(name, note) for name in names]
    if sandbox == "auto" and any(finding.state == "ok" for finding in providers):
        # one working sandbox is enough
        providers = [
            replace(finding, state="warn") if finding.state == "fail" else finding
            for finding in providers
        ]
    findings += [*providers, _scorers(sandbox)]
    if sandbox != "auto" and providers[0].state != "fail":
        findings.append(await keeps_the_contract(sandbox))
    load_keys()
    settings = _settings_of(task_dir, models) if models else None
    for text in models:
        findings += await examine_model(text, settings, note)
    if task_dir is not None:
        findings += [
            *_requirements(task_dir, fix),
            *await _task(task_dir, sandbox, note, models),
        ]
    return findings


async def keeps_the_contract(name: str) -> Finding:
    """Test the quick part of the sandbox contract on this machine.

    Args:
        name: name of the sandbox

    Returns:
        One finding.
    """
    try:
        broken = await asyncio.to_thread(broken_promises, partial(make_provider, name))
    except SandboxError as error:
        return Finding("fail", f"sandbox {name}: {error.message}", _fix(error))
    if broken:
        return Finding(
            "fail",
            f"sandbox {name} breaks {len(broken)} of {len(QUICK)} promises: "
            + "; ".join(broken),
            "do not trust scores from it",
        )
    return Finding("ok", f"sandbox {name} keeps {len(QUICK)} promises of its contract")


def _fix(error: EvolveError | SandboxError) -> str:
    """Return the hint of an error, unless it leads back to this check."""
    return "" if "evolve doctor" in error.hint else error.hint


def _scorers(sandbox: str) -> Finding:
    match confinement.how():
        case confinement.Confinement.BUBBLEWRAP:
            text = "scorers have no network and can't change files of this machine"
            return Finding("ok", text)
        case confinement.Confinement.LANDLOCK:
            return Finding(
                "ok", "scorers are confined by Landlock: no TCP, none of your files"
            )
    return Finding(
        "warn",
        "scorers run as you, with your files and network, because neither bubblewrap nor "
        "Landlock works",
        ""
        if sandbox == "bubblewrap"
        else "for the cause: evolve doctor --sandbox bubblewrap",
    )


async def _provider(name: str, note: Note) -> Finding:
    """Prepare a sandbox, start it, and call a candidate."""
    try:
        provider = make_provider(name, SandboxSpec())
        await provider.prepare(note)
        pool = Pool(provider, 1)
        try:
            async with pool.session() as session:
                await session.load({"doctor.py": _ANSWER}, "doctor")
                reply = await session.call("answer", wire.encode(([41], {})))
            right = wire.decode(reply.payload) == 42
        finally:
            await pool.close()
    except SandboxError as error:
        return Finding("fail", f"sandbox {name}: {error.message}", _fix(error))
    if not right:
        return Finding("fail", f"sandbox {name}: a candidate gave a wrong answer")
    if not provider.isolates:
        return Finding(
            "warn", f"sandbox {name} runs, but without isolation", "use docker"
        )
    return Finding("ok", f"sandbox {name}")


def _settings_of(task_dir: Path | None, models: Sequence[str]) -> Settings:
    """Return the settings of a run on a task with these models, for their sizes."""
    flags = {"model": tuple(models)}
    if task_dir is not None:
        with suppress(EvolveError):  # reported by the check of the task
            run = load_task(task_dir).spec.run
            return resolve(flags, run, task_dir / "task.toml").settings
    return resolve(flags, {}, Path("task.toml")).settings


def _requirements(folder: Path, fix: bool) -> list[Finding]:
    """Check for imported modules of a peer's task without a declared package."""
    try:
        task = load_task(folder)
    except EvolveError:
        return []  # reported by the next check
    if task.peer is None:
        return []
    program = task.folder / task.peer.program_path
    unknown = packages_of(task.folder, (task.evaluator, program)).unknown
    if not unknown:
        return []
    path, names = task.folder / "requirements.txt", ", ".join(unknown)
    if not fix:
        return [
            Finding(
                "warn",
                f"the task imports {names} without a declared package",
                f"evolve doctor {quoted(folder)} --fix writes {path.name}; check the names first",
            )
        ]
    before = path.read_text() if path.exists() else ""
    line_end = "" if not before or before.endswith("\n") else "\n"
    path.write_text(before + line_end + "".join(f"{name}\n" for name in unknown))
    return [Finding("ok", f"wrote {names} into {path}")]


async def _task(
    folder: Path, sandbox: str, note: Note, models: Sequence[str]
) -> list[Finding]:
    try:
        task = load_task(folder)
        settings = resolve(
            {"model": tuple(models)}, task.spec.run, folder / "task.toml"
        ).settings
        with tempfile.NamedTemporaryFile(prefix="evolve-scorer-", suffix=".log") as log:
            async with (
                open_evaluator(task, sandbox, 1, Path(log.name), note) as evaluator,
                alone(evaluator, settings, note) as proposal,
            ):
                found = (
                    _agent(evaluator.task, await score_seed(evaluator, proposal))
                    if proposal is not None
                    else await _seed(task, evaluator)
                )
                named = Finding("ok", f"task {task.spec.name}")
                return [named, *_prompts(task, settings), *found]
    except (EvolveError, SandboxError) as error:
        return [Finding("fail", error.message, _fix(error))]


def _prompts(task: Task, settings: Settings) -> list[Finding]:
    """Return a finding if a prompt can't hold what may change of the seed."""
    try:
        check_prompts(task, settings)
    except ConfigError as error:
        found = Finding("warn", error.message, error.hint)
        return [replace(found, state="fail") if settings.model else found]
    return []


def _agent(task: Task, verdict: Verdict) -> list[Finding]:
    """Return findings on a seed agent; its score may vary."""
    counts = {split: len(task.spec.cases_of(split)) for split in SPLITS}
    seconds = sum(row.seconds for row in verdict.rows) / len(verdict.rows)
    findings = [
        Finding(
            "ok",
            "cases: "
            + ", ".join(f"{count} {split}" for split, count in counts.items()),
        ),
        Finding(
            "ok",
            f"the seed can still change a repository, and scores {verdict.score:.3f} on "
            f"{len(verdict.rows)} cases, {seconds:.1f} s each",
        ),
    ]
    if not counts["select"] or not counts["heldout"]:
        findings.append(
            Finding(
                "warn",
                "no cases for choosing the best (select), or none held out",
                'give some cases split = "select" and some "heldout"',
            )
        )
    return findings


async def _seed(task: Task, evaluator: Evaluator) -> list[Finding]:
    """Check the seed's score: finite, repeatable, and not above the bound."""
    first, second = await score_seed(evaluator), await score_seed(evaluator)
    seconds = sum(row.seconds for row in second.rows)
    findings = [Finding("ok", f"the seed scores {first.score!r} in {seconds:.3f} s")]
    if first.score != second.score:
        findings.append(
            Finding(
                "warn",
                f"the score is not repeatable: {second.score!r} next",
                "give the evaluator's randomness a fixed seed",
            )
        )
    caught = [row.metrics[CAUGHT] for row in first.rows if CAUGHT in row.metrics]
    if caught:
        findings.append(
            Finding(
                "warn",
                f"the seed raises {caught[0]}, and its evaluator catches that",
                "make the seed run: name its packages in requirements.txt",
            )
        )
    if advice := unmeasured(task, first.rows):
        findings.append(
            Finding("warn", advice, "name in [[measures]] what evaluate() returns")
        )
    if task.spec.ceiling is None:
        findings.append(
            Finding(
                "warn",
                "the task declares no ceiling",
                "a proved bound in task.toml catches faults of the scorer",
            )
        )
    return findings
