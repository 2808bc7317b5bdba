"""A task's prompts are texts of a stranger: they reach plain data, and run nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.errors import ConfigError
from evolve.operators.templates import Prompts
from evolve.tasks import load_task
from tests.cli import evolve
from tests.security.strangers import write_task

MODEL = "hosted_vllm/x@http://127.0.0.1:9/v1"
ESCAPES = {
    "globals of a helper": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "class of a text": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "format of a text": "{{ '{0.__class__}'.format(task) }}",
    "format_map": "{{ '{task.folder}'.format_map({'task': task}) }}",
    "a path reads files": "{{ task.folder.parent.joinpath('secret').read_text() }}",
    "a method of the task": "{{ task.spec.model_copy() }}",
    "the filter attr": "{{ task | attr('folder') }}",
    "a macro's globals": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "the template itself": "{{ self._TemplateReference__context }}",
    "a file above": "{% include '../../secret' %}",
    "an import": "{% import '/etc/passwd' as x %}{{ x }}",
    "a text as large as the memory": "{{ 'a' * 10000000000 }}",
    "a width as large as the memory": "{{ '%9999999999s' % 'a' }}",
    "a huge number": "{{ 9 ** 9999999999 }}",
    "a long loop": "{% for i in range(10 ** 9) %}{% endfor %}",
    "padding": "{{ 'a'.ljust(10000000000) }}",
}


def test_a_template_runs_no_code_of_a_dry_run(tmp_path: Path) -> None:
    task = write_task(tmp_path / "task")
    (task / "prompts").mkdir()
    mark = tmp_path / "PWNED"
    (task / "prompts" / "diff.j2").write_text(
        f"{{{{ cycler.__init__.__globals__.os.popen('id > {mark}').read() }}}}"
    )
    done = evolve("run", task, "--model", MODEL, "--operator", "diff", "--dry-run")
    assert done.code == 2 and "diff.j2" in done.err, done.err
    assert not mark.exists() and "uid=" not in done.out + done.err


@pytest.mark.parametrize("name", ESCAPES)
def test_a_template_reaches_plain_data_only(tmp_path: Path, name: str) -> None:
    task = load_task(write_task(tmp_path / "task"))
    (tmp_path / "secret").write_text("key")
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "diff.j2").write_text(ESCAPES[name])
    with pytest.raises(ConfigError, match="prompts"):
        Prompts((folder,)).render("diff.j2", task=task)


def test_an_honest_template_says_everything_about_the_task(tmp_path: Path) -> None:
    task = load_task(write_task(tmp_path / "task", "[limits]\ntime_s = 3"))
    (tmp_path / "diff.j2").write_text(
        "{% macro twice(x) %}{{ x * 2 }}{% endmacro %}"
        "{{ task.spec.name | upper }} {{ task.spec.description.strip() }} {{ task.edits }}"
        "{% for case in task.spec.cases %} {{ loop.index }} {{ case.id }}{% endfor %}"
        " {{ twice(task.spec.limits.time_s) }} {{ '%s' ~ 5 % 3 }}"
    )
    assert (
        Prompts((tmp_path,)).render("diff.j2", task=task)
        == "TINY return a large number main.py 1 main 6.0 %s2"
    )
