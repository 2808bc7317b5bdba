"""CodeEvolve tasks.

Layout: input/src/PROGRAM, input/evaluate.py (arguments CODE RESULTS_JSON),
configs/config*.yaml.
"""

from pathlib import Path
from typing import Any

from evolve.errors import TaskError
from evolve.tasks.peers.peer import LANGUAGES, Config, PeerTask, build
from evolve.tasks.peers.settings import flat, judge, number, read_yaml, section

_TAKEN = frozenset(
    (
        "SYS_MSG",
        "CODEBASE_PATH",
        "INIT_FILE_DATA",
        "EVAL_FILE_NAME",
        "EVAL_TIMEOUT",
        "EVOLVE_CONFIG.fitness_key",
        "EVOLVE_CONFIG.num_epochs",
    )
)
_OTHER = frozenset(
    (
        "MAX_MEM_BYTES",
        "MEM_CHECK_INTERVAL_S",
        "ENSEMBLE",
        "SAMPLER_AUX_LM",
        "EMBEDDING",
        "BUDGET_CONFIG",
        "MAP_ELITES",
        "TYPE",
    )
)


def fits(folder: Path) -> bool:
    """Return whether a folder has the layout of a CodeEvolve task.

    Args:
        folder: any folder

    Returns:
        True if it has input/src and input/evaluate.py.
    """
    return (folder / "input" / "src").is_dir() and (
        folder / "input" / "evaluate.py"
    ).is_file()


def read(folder: Path) -> PeerTask:
    """Read a CodeEvolve task.

    Args:
        folder: a folder that `fits`

    Returns:
        The task with its seed and warnings about settings without effect.

    Raises:
        TaskError: invalid configuration, or the program is missing or ambiguous
    """
    path = next(
        (
            found
            for place in (folder, folder / "configs")
            for found in sorted(place.glob("config*.y*ml"))
        ),
        None,
    )
    values = read_yaml(path) if path else {}
    evolve = section(path or folder, values, "EVOLVE_CONFIG")
    program = _program(
        folder, path or folder, section(path or folder, values, "INIT_FILE_DATA")
    )
    key = evolve.get("fitness_key")
    return build(
        folder,
        program,
        folder / "input" / "evaluate.py",
        _config(path, values, evolve),
        {"format": "codeevolve", "fitness_key": str(key) if key else None},
    )


def _program(folder: Path, config: Path, data: dict[str, Any]) -> Path:
    source = folder / "input" / "src"
    if "filename" in data:
        path = source / str(data["filename"])
        if not path.is_file():
            raise TaskError(f"{config}: INIT_FILE_DATA.filename: {path} does not exist")
        return path
    found = [path for path in sorted(source.iterdir()) if path.suffix in LANGUAGES]
    if len(found) != 1:
        raise TaskError(
            f"{source} has {len(found)} programs",
            "name one in configs/config.yaml: INIT_FILE_DATA: {filename: ...}",
        )
    return found[0]


def _config(
    path: Path | None, values: dict[str, Any], evolve: dict[str, Any]
) -> Config:
    if path is None:
        return Config(
            warnings=("configs/config*.yaml is missing: no task text for a model",)
        )
    text = values.get("SYS_MSG")
    keys = flat(values, {"EVOLVE_CONFIG": {"fitness_key": ""}})
    other = _OTHER | {key for key in keys if key.startswith("EVOLVE_CONFIG.")} - _TAKEN
    epochs = number(path, evolve, "num_epochs", "EVOLVE_CONFIG.num_epochs")
    return Config(
        text.strip() if isinstance(text, str) and text.strip() else None,
        number(path, values, "EVAL_TIMEOUT", "EVAL_TIMEOUT") or 300.0,
        {"max_variants": int(epochs)} if epochs else {},
        judge(path, keys, _TAKEN, frozenset(), other),
    )
