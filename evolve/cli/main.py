"""The program `evolve`: its verbs, and errors as shown to people.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 a prerequisite is missing, 130
interrupted (resumable).
"""

import errno
import functools
import io
import resource
import sys
import warnings
from typing import Annotated, Any

import typer

from evolve import __version__
from evolve.cli.verbs import LazyGroup

EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 usage, 3 prerequisite missing, 130 interrupted."
)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_OF_DISKS = (*_FULL, errno.EIO, errno.EFBIG, errno.EROFS)
_OF_LIMITS = (errno.EMFILE, errno.EAGAIN, errno.ENOMEM, errno.EFBIG)
_IMPORTS_BYTES = 512 << 20
app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def evolve(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Evolve programs against a scorer that no candidate can cheat."""


@functools.cache
def _command() -> Any:
    """Return the command with all verbs.

    Typer's app would change `sys.excepthook` if it were called itself.
    """
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line; turn errors into a message, a hint and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # for terminals that can't show every character
            stream.reconfigure(errors="backslashreplace")
    _refuse_tiny_memory()
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        with warnings.catch_warnings():
            # pydantic warns about values in litellm's models.
            warnings.filterwarnings("ignore", category=UserWarning, module="pydantic")
            _command()(prog_name="evolve")
    except BrokenPipeError:  # the reader of the output has gone: `evolve tree | head`
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        sys.exit(_explain(error))


def _lacking(error: Exception) -> tuple[str, str] | None:
    """Return the limit on this process that an error comes from, and the way out."""
    from evolve.sandbox import Limits
    from evolve.sandbox.process_limits import too_low

    refused = isinstance(error, OSError) and error.errno in _OF_LIMITS
    no_thread = isinstance(error, RuntimeError) and "new thread" in str(error)
    if refused or no_thread or isinstance(error, MemoryError):
        return too_low(Limits(), 1)
    return None


def _refuse_tiny_memory() -> None:
    """End here if the limits on memory are too low even for the imports."""
    for kind, flag in ((resource.RLIMIT_AS, "v"), (resource.RLIMIT_DATA, "d")):
        limit = resource.getrlimit(kind)[0]
        if 0 <= limit < _IMPORTS_BYTES:
            sys.stderr.write(
                f"error: the limit of this shell on memory is too low: {limit >> 10} KiB "
                f"(ulimit -{flag})\n  ulimit -{flag} unlimited, then the same again\n"
            )
            sys.exit(3)


def _explain(error: Exception) -> int:
    """Print the error and a hint; return the exit code."""
    from evolve.archive import ArchiveError, NotFound
    from evolve.errors import INSTALL_GIT, EvolveError, PrerequisiteError
    from evolve.sandbox import NoSuchSandbox, SandboxError, SandboxUnavailable
    from evolve.view.terminal.console import err

    if isinstance(error, FileNotFoundError) and error.filename == "git":
        error = PrerequisiteError("git is not installed", INSTALL_GIT)
    if isinstance(error, EvolveError | ArchiveError | SandboxError):
        message, hint = error.message, error.hint
    elif problem := _lacking(error):
        message, hint = problem
    elif isinstance(error, OSError) and (error.filename or error.errno in _OF_DISKS):
        place = error.filename or "the output"
        message = f"can't read or write {place}: {error.strerror}"
        hint = "check the path and its permissions, or use another"
        if error.errno in _FULL:
            hint = "free disk space there, or use another place (TMPDIR, --runs-dir)"
    else:
        message = f"unexpected: {type(error).__name__}: {error}"
        hint = "run the command with --debug for a traceback; please report it"
    err.print(f"error: {message}", style="red")
    if hint:
        err.print(f"  {hint}")
    if isinstance(error, EvolveError):
        return error.exit_code
    if isinstance(error, SandboxUnavailable):
        return 3
    return 2 if isinstance(error, NotFound | NoSuchSandbox) else 1
