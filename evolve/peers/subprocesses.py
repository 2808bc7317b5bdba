"""Processes that an evaluator starts: no candidate runs outside its sandbox.

A command that names the candidate's file, or a file derived from it, runs inside the
sandbox; files that it names, and those of the temporary folder that it runs in, are copied in,
and new ones are copied out. A Python script of the evaluator runs here, with the same stub in
place of the candidate. A tool of the evaluator, such as a compiler, runs in a box of its own,
with copies of the evaluator's temporary files.
"""

import io
import json
import multiprocessing.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evolve.peers.files import Contents, TooMuch, bring_back, digest, regular_files
from evolve.peers.guards import Watch
from evolve.peers.link import Link

_CHILD = Path(__file__).with_name("child.py")
_MAX_BYTES = 16 * 1024 * 1024
_OWN = ("nproc", "uname", "which", "lscpu")  # harmless queries about the machine
_SHELLS = ("sh", "bash")
_PATH = re.compile(r"/[^\s'\"|;&<>()]{1,4096}")  # in the text of a shell
_SCRATCH = "scratch"  # the evaluator's temporary folder, in the box of a tool
Done = tuple[int, bytes, bytes]
"""Exit code, stdout and stderr."""


class Commands:
    """Decides where a command runs, and runs the candidate's commands in its sandbox.

    Args:
        link: the connection to the candidate
        watch: recognizes the candidate's files
        name_inside: path of the program in the sandbox
        child_config: configuration for `child.py`
    """

    def __init__(
        self, link: Link, watch: Watch, name_inside: str, child_config: dict[str, Any]
    ) -> None:
        self.link, self.watch, self._name = link, watch, name_inside
        self._child_config = child_config
        self._inside: dict[str, str] = {}  # path here -> path in the sandbox
        # temporary folder here -> its name in the sandbox, and what is known of it
        self._folders: dict[Path, tuple[str, Contents]] = {}

    def concerns_candidate(self, argv: Sequence[str]) -> bool:
        """Return whether a word is the candidate's file, or is known in its sandbox."""
        return any(
            word in self._inside or self.watch.is_candidate(word)
            for part in argv
            for word in _words(argv, part)
        )

    def own_script(self, argv: Sequence[str]) -> list[str] | None:
        """Return the command that runs a Python script of the evaluator with the stub.

        Args:
            argv: the command

        Returns:
            The new command; None if it is not a script of the evaluator.
        """
        if not _is_python(argv[0]) or self.concerns_candidate(argv[:2]):
            return None
        rest = list(argv[1:])
        while rest and rest[0] in ("-u", "-B", "-E", "-s", "-I"):
            rest.pop(0)
        if not rest or (rest[0].startswith("-") and rest[0] != "-c"):
            return None
        text = rest[1] if rest[0] == "-c" and len(rest) > 1 else _text_of(rest[0])
        if (
            text is None
            or self.watch.holds_candidate(text)
            or self.link.answers.are_in(text)
        ):
            return None
        return [
            sys.executable,
            "-I",
            str(_CHILD),
            json.dumps(self._child_config),
            *rest,
        ]

    def run(
        self, argv: Sequence[str], stdin: bytes, cwd: str | None, timeout: float | None
    ) -> Done:
        """Run a command inside the candidate's sandbox.

        Args:
            argv: the command
            stdin: its input
            cwd: folder of relative paths; None for the current one
            timeout: limit in seconds; None for that of the candidate

        Returns:
            Exit code, stdout and stderr.

        Raises:
            CandidateGone: the candidate's process has failed
            Inseparable: there are too many files
        """
        folder = _scratch_folder(cwd)
        made = [
            path
            for part in argv
            for path in map(self._host_path, _words(argv, part))
            if path and not os.path.exists(path)
        ]
        inside = "" if folder is None else self._send_folder(folder)
        command = [
            self._in_text(part, cwd, folder, inside)
            if _is_script(argv, part)
            else self._translated(part, cwd, folder, inside)
            for part in argv
        ]
        command[0] = _program_of(command[0])
        done = self.link.run(command, stdin, timeout, inside)
        for path in made:
            self._bring_out(path)
        if folder is not None:
            self._fetch_folder(folder, inside)
        return done

    def run_tool(
        self, argv: Sequence[str], stdin: bytes, cwd: str | None, timeout: float | None
    ) -> Done:
        """Run a tool of the evaluator in a box of its own.

        Args:
            argv: the command
            stdin: its input
            cwd: folder of relative paths; None for the current one
            timeout: limit in seconds; None for that of the task

        Returns:
            Exit code, stdout and stderr.

        Raises:
            CandidateGone: it printed too much or took too long
            Inseparable: there are too many files
        """
        root = Path(tempfile.gettempdir()).resolve()
        folder = _scratch_folder(cwd)
        with self._few_files(str(root)):
            given = {
                f"{_SCRATCH}/{path}": content
                for path, content in regular_files(root).items()
            }
        inside = ""
        if folder is not None:
            inside = os.path.normpath(os.path.join(_SCRATCH, folder.relative_to(root)))
        here = os.path.relpath(_SCRATCH, inside or ".")
        command = [
            self._of_task(part.replace(str(root), here), cwd, inside, given)
            for part in argv
        ]
        command[0] = _program_of(command[0])
        done, found = self.link.run_tool(command, stdin, timeout, inside, given)
        with self._few_files(str(root)):
            bring_back(
                root,
                {path.partition("/")[2]: content for path, content in given.items()},
                {
                    path.partition("/")[2]: tuple(content)
                    for path, content in found.items()
                    if path.startswith(f"{_SCRATCH}/")
                },
            )
        return done

    def _of_task(self, part: str, cwd: str | None, inside: str, given: Contents) -> str:
        """Give the box a file of the task's folder that the command names."""
        path = Path(cwd or "", part)
        if not path.is_file() or not self.watch.is_tasks(str(path.resolve())):
            return part
        if path.resolve().is_relative_to(Path(tempfile.gettempdir()).resolve()):
            return part
        name = f"task/{path.name}"
        given[name] = path.read_bytes(), os.access(path, os.X_OK)
        return os.path.relpath(name, inside or ".")

    @contextmanager
    def _few_files(self, folder: str) -> Iterator[None]:
        try:
            yield
        except TooMuch as error:
            raise self.link.notes.inseparable(f"{folder} holds {error}") from None

    def _send_folder(self, folder: Path) -> str:
        """Copy the evaluator's temporary folder into the sandbox; return its name there."""
        inside, known = self._folders.setdefault(
            folder, (f"given/folder-{len(self._folders)}", {})
        )
        with self._few_files(str(folder)):
            files = regular_files(folder)
        for path, (data, executable) in files.items():
            if known.get(path) != (data, executable):
                self.link.put(f"{inside}/{path}", data, executable)
        known.clear()
        known.update(files)
        return inside

    def _fetch_folder(self, folder: Path, inside: str) -> None:
        """Copy new and changed files out of the sandbox."""
        known = self._folders[folder][1]
        digests = {path: digest(data) for path, (data, _) in known.items()}
        found = self.link.collect(inside, digests)
        claims = {
            str(path): tuple(claim) if isinstance(claim, list) else claim
            for path, claim in found.items()
        }
        with self._few_files("the folder that the program works in"):
            known.update(bring_back(folder, known, claims))

    def _host_path(self, part: str) -> str | None:
        """Return a path of the evaluator's scratch files; None for other words."""
        if os.path.isabs(part) and part.startswith(
            (tempfile.gettempdir(), os.getcwd())
        ):
            return part
        return None

    def _in_text(
        self, text: str, cwd: str | None, folder: Path | None, inside: str
    ) -> str:
        """Translate the paths in the text of a shell."""
        return _PATH.sub(
            lambda found: self._translated(_program_of(found[0]), cwd, folder, inside),
            text,
        )

    def _translated(
        self, part: str, cwd: str | None, folder: Path | None, place: str
    ) -> str:
        """Return a word of a command as it is called in the sandbox, seen from `place`."""
        path = part if os.path.isabs(part) else os.path.join(cwd or "", part)
        if folder is not None and self._is_below(path, folder):
            return os.path.relpath(path, folder)
        if self.watch.is_candidate(path):
            self._inside[part] = self._name
            return os.path.relpath(self._name, place) if place else self._name
        found = self._given(part)
        return os.path.relpath(found, place) if place and found != part else found

    def _is_below(self, path: str, folder: Path) -> bool:
        """Return whether a word names something in the folder, and not the program."""
        return (
            os.path.isabs(path)
            and Path(path).resolve().is_relative_to(folder)
            and (os.path.lexists(path) or Path(path).parent.is_dir())
            and not (self.watch.is_candidate(path) and Path(path).suffix == ".py")
        )

    def _given(self, part: str) -> str:
        """Return the name in the sandbox of a file that a command names."""
        path = self._host_path(part)
        if path is None:
            return part
        inside = self._inside.setdefault(
            path, f"./given/{len(self._inside)}-{os.path.basename(path)}"
        )
        if (
            os.path.isfile(path)
            and not Path(path).is_symlink()
            and path not in self._brought
        ):
            data = Path(path).read_bytes()
            self.link.put(inside, data, os.access(path, os.X_OK))
        else:
            self.link.put(os.path.join(os.path.dirname(inside), ".keep"), b"", False)
        return inside

    _brought: frozenset[str] = frozenset()

    def _bring_out(self, path: str) -> None:
        """Copy a file that the command made; a program becomes an empty executable."""
        found = self.link.get(self._inside[path], _MAX_BYTES)
        if found is None:
            return
        executable, data = found
        Path(path).write_bytes(b"" if executable else data)
        if executable:
            Path(path).chmod(0o700)
            self._brought |= {path}


def _scratch_folder(cwd: str | None) -> Path | None:
    """Return the temporary folder that a command runs in; None if it runs elsewhere."""
    folder, root = Path(cwd or os.getcwd()).resolve(), Path(tempfile.gettempdir())
    return folder if folder.is_relative_to(root.resolve()) else None


def _is_script(argv: Sequence[str], part: str) -> bool:
    """Return whether a word is the text of a shell's command."""
    return (
        len(argv) > 2
        and os.path.basename(argv[0]) in _SHELLS
        and argv[1].endswith("c")
        and part is argv[2]
    )


def _words(argv: Sequence[str], part: str) -> list[str]:
    """Return a word of a command, or the paths in the text of a shell."""
    return _PATH.findall(part) if _is_script(argv, part) else [part]


def _program_of(name: str) -> str:
    """Return the name of a program in a sandbox, whose paths differ."""
    if _is_python(name):
        return "python3"
    if os.path.isabs(name) and os.path.basename(os.path.dirname(name)) == "bin":
        return os.path.basename(name)
    return name


def _is_python(name: str) -> bool:
    return name == sys.executable or os.path.basename(name).startswith("python")


def _text_of(path: str) -> str | None:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return None


def install(
    link: Link, watch: Watch, name_inside: str, child_config: dict[str, Any]
) -> None:
    """Route all ways to start a process through `Commands`, from now on.

    Args:
        link: the connection to the candidate
        watch: recognizes the candidate's files
        name_inside: path of the program in the sandbox
        child_config: configuration for `child.py`
    """
    commands = Commands(link, watch, name_inside, child_config)

    class Popen(_Popen):
        """`subprocess.Popen` with the candidate's commands in its sandbox."""

        _commands = commands

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise link.notes.inseparable(
            f"the evaluator starts a process by itself: {args[:1]!r:.200}"
        )

    subprocess.Popen = Popen  # type: ignore[misc]
    multiprocessing.util.spawnv_passfds = refuse
    for name in ("system", "popen", "execv", "execve", "posix_spawn", "posix_spawnp"):
        setattr(os, name, refuse)


class _Popen(subprocess.Popen[Any]):
    """A process here, or a command in the sandbox that runs when first needed."""

    _commands: Commands
    _done: tuple[bytes, bytes] | None = None
    _child_created = False

    def __init__(self, args: Any, *rest: Any, **kwargs: Any) -> None:
        argv = (
            ["/bin/sh", "-c", args]
            if isinstance(args, str)
            else [os.fspath(part) for part in args]
        )
        argv = [part.decode() if isinstance(part, bytes) else part for part in argv]
        script = None
        self._remote = self._commands.concerns_candidate(argv)
        self._boxed = self._commands.run
        if not self._remote:
            script = self._commands.own_script(argv)
            if script is None and os.path.basename(argv[0]) not in _OWN:
                if _is_python(argv[0]):
                    raise self._commands.link.notes.inseparable(
                        f"the evaluator starts {argv[0]}"
                    )
                self._remote, self._boxed = True, self._commands.run_tool
        if self._remote:
            self._begin(argv, kwargs)
            return
        if script is not None:
            kwargs["pass_fds"] = (
                *kwargs.get("pass_fds", ()),
                self._commands.link.descriptor,
            )
        super().__init__(script or args, *rest, **kwargs)

    def _begin(self, argv: list[str], options: dict[str, Any]) -> None:
        self.args, self._argv, self.returncode, self.pid = argv, argv, None, 0
        self.stdin = self.stdout = self.stderr = None
        self._options = options
        self._text = any(
            options.get(key)
            for key in ("text", "universal_newlines", "encoding", "errors")
        )
        given: Any = options.get("stdin")
        self._given = given.read() if hasattr(given, "read") else b""
        if options.get("stdin") == subprocess.PIPE:
            self.stdin = io.BytesIO()

    def _run(self, given: Any, timeout: float | None) -> tuple[bytes, bytes]:
        if self._done is None:
            data = given if given is not None else self._given
            if isinstance(data, str):
                data = data.encode()
            cwd = self._options.get("cwd")
            code, out, err = self._boxed(
                self._argv, data, None if cwd is None else os.fspath(cwd), timeout
            )
            self.returncode, self._done = code, (out, err)
            for stream, found in (("stdout", out), ("stderr", err)):
                target: Any = self._options.get(stream)
                if hasattr(target, "write"):
                    text = hasattr(target, "encoding")
                    target.write(found.decode(errors="replace") if text else found)
        return self._done

    def communicate(
        self, input: Any = None, timeout: float | None = None
    ) -> tuple[Any, Any]:
        if not self._remote:
            return super().communicate(input, timeout)
        if input is None and isinstance(self.stdin, io.BytesIO):
            input = self.stdin.getvalue()
        streams = self._run(input, timeout)
        merged = self._options.get("stderr") == subprocess.STDOUT
        wanted = (streams[0] + streams[1] if merged else streams[0], streams[1])
        out, err = (
            data if self._options.get(name) == subprocess.PIPE else None
            for name, data in zip(("stdout", "stderr"), wanted, strict=True)
        )
        return self._shown(out), self._shown(err)

    def _shown(self, data: bytes | None) -> Any:
        return (
            data.decode(errors="replace") if data is not None and self._text else data
        )

    def wait(self, timeout: float | None = None) -> int:
        if self._remote:
            self._run(None, timeout)
            return int(self.returncode)
        return super().wait(timeout)

    def poll(self) -> int | None:
        return self.wait() if self._remote else super().poll()

    def kill(self) -> None:
        if not self._remote:
            super().kill()

    def terminate(self) -> None:
        if not self._remote:
            super().terminate()

    def __exit__(self, *details: Any) -> None:
        if not self._remote:
            super().__exit__(*details)

    def __del__(self, *details: Any) -> None:
        if not getattr(self, "_remote", True):
            super().__del__(*details)
