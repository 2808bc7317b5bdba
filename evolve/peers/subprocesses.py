"""Processes that an evaluator starts: no candidate runs outside its sandbox.

A command that names the candidate's file, or a file derived from it, runs inside the
sandbox; files that it names are copied in, and new ones are copied out. A Python script
of the evaluator runs here, with the same stub in place of the candidate. All other
commands can't be classified: `Inseparable`.
"""

import io
import json
import multiprocessing.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evolve.peers.guards import Watch
from evolve.peers.link import Link

_CHILD = Path(__file__).with_name("child.py")
_MAX_BYTES = 16 * 1024 * 1024
_OWN = ("nproc", "uname", "which", "lscpu")  # harmless queries about the machine


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

    def concerns_candidate(self, argv: Sequence[str]) -> bool:
        """Return whether an argument is the candidate's file, or is known in its sandbox."""
        return any(
            part in self._inside or self.watch.is_candidate(part) for part in argv
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
    ) -> tuple[int, bytes, bytes]:
        """Run a command inside the sandbox.

        Args:
            argv: the command
            stdin: its input
            cwd: folder of relative paths; None for the current one
            timeout: limit in seconds; None for that of the candidate

        Returns:
            Exit code, stdout and stderr.

        Raises:
            TimeoutExpired: the limit is over
            CandidateGone: the candidate's process has failed
        """
        made = [
            path
            for path in map(self._host_path, argv)
            if path and not os.path.exists(path)
        ]
        command = [self._translated(part, cwd) for part in argv]
        if _is_python(command[0]):
            command[0] = "python3"
        done = self.link.run(command, stdin, timeout)
        for path in made:
            self._bring_out(path)
        return done

    def _host_path(self, part: str) -> str | None:
        """Return a path of the evaluator's scratch files; None for other words."""
        if os.path.isabs(part) and part.startswith(
            (tempfile.gettempdir(), os.getcwd())
        ):
            return part
        return None

    def _translated(self, part: str, cwd: str | None) -> str:
        if self.watch.is_candidate(
            part if os.path.isabs(part) else os.path.join(cwd or "", part)
        ):
            self._inside[part] = self._name
            return self._name
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
        self._remote = self._commands.concerns_candidate(argv)
        if self._remote:
            self._begin(argv, kwargs)
            return
        script = self._commands.own_script(argv)
        if script is None and os.path.basename(argv[0]) not in _OWN:
            raise self._commands.link.notes.inseparable(
                f"the evaluator starts {argv[0]}"
            )
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
            code, out, err = self._commands.run(
                self._argv, data, self._options.get("cwd"), timeout
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
