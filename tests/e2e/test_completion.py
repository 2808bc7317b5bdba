"""What the shell completes."""

from pathlib import Path

from tests.cli import evolve
from tests.made_runs import Made, make_run


def completed(line: str, folder: Path) -> list[str]:
    words = {
        "_EVOLVE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    done = evolve(cwd=folder, env=words)
    assert done.code == 0, done.err
    return done.out.split()


def test_verbs_options_and_names_of_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "sunny-day", Made(3))
    make_run(tmp_path / "elsewhere", "rainy-day", Made(3))
    assert completed("evolve tre", tmp_path) == ["tree"]
    assert "--top" in completed("evolve tree --t", tmp_path)
    assert completed("evolve tree su", tmp_path) == ["sunny-day"]
    assert completed("evolve tree --runs-dir elsewhere ra", tmp_path) == ["rainy-day"]
    assert completed("evolve tree nothing", tmp_path) == []
