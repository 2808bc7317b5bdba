"""`--model cmd:COMMAND`: a command that reads the prompt and prints the reply.

For people who pay a subscription instead of a key. It runs as the user, so only the user may
name it. Its calls have no price and its tokens are estimates.
"""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from evolve.archive import Reply
from evolve.errors import ConfigError
from evolve.models.answers import Completion
from evolve.models.counting import Counter
from evolve.models.errors import ModelError, ModelFault, plain_text, shortened
from evolve.models.names import ModelName

MAX_BYTES = 8 << 20  # of a reply
_TAIL_BYTES, _CHUNK = 4000, 1 << 16
_REMARK = "tokens estimated: a command is not metered"


def check(name: ModelName) -> None:
    """Check that a command exists.

    Args:
        name: a `cmd:` model

    Raises:
        ConfigError: it does not
    """
    _words(name)


async def complete(
    name: ModelName, messages: Sequence[Mapping[str, str]], count: Counter
) -> Completion:
    """Run the command once, in an empty temporary folder.

    Its process group is killed at the end, also if the caller gives up.

    Args:
        name: a `cmd:` model
        messages: the chat, which is its standard input
        count: estimates numbers of tokens

    Returns:
        Its standard output as the only reply.

    Raises:
        ModelError: it failed, or printed too much
        ConfigError: it does not exist
    """
    words, prompt = _words(name), as_prompt(messages)
    with tempfile.TemporaryDirectory(prefix="evolve-cmd-") as folder:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
        try:
            text, errors = await _exchange(process, prompt)
            status = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):  # no process is left
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if text is None:
        raise _failed(name, f"its output has more than {MAX_BYTES:,} bytes")
    if status != 0:
        said = shortened(errors.strip() or text.strip()) or "it printed nothing"
        raise _failed(name, f"it ended with exit status {status}: {said}")
    return Completion(
        (Reply(text, "stop"),),
        count(prompt),
        count(text),
        estimated=True,
        remarks=(_REMARK,),
    )


def as_prompt(messages: Sequence[Mapping[str, str]]) -> str:
    """Return a chat as one text.

    Args:
        messages: the chat, oldest first

    Returns:
        The first question as it is; later turns below a line with the name of the author.
    """
    parts: list[str] = []
    for message in messages:
        first = not any(part.startswith("[") for part in parts)
        opening = message["role"] != "assistant" and first
        head = "" if opening else f"[{message['role']}]\n"
        parts.append(f"{head}{message['content']}")
    return "\n\n".join(parts)


async def _exchange(
    process: asyncio.subprocess.Process, prompt: str
) -> tuple[str | None, str]:
    """Return its output, None if that is too long, and the end of its errors."""
    assert process.stdin and process.stdout and process.stderr
    out, errors, _ = await asyncio.gather(
        _read(process.stdout, MAX_BYTES),
        _read(process.stderr, None),
        _feed(process.stdin, prompt),
    )
    text = None if len(out) > MAX_BYTES else out.decode(errors="replace")
    return text and text.removeprefix("\ufeff"), errors.decode(errors="replace")


async def _feed(pipe: asyncio.StreamWriter, prompt: str) -> None:
    """Write the prompt; a command may end without having read it."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(prompt.encode(errors="replace"))
        await pipe.drain()
        pipe.close()
        await pipe.wait_closed()


async def _read(pipe: asyncio.StreamReader, most: int | None) -> bytes:
    """Read to the end: up to `most` bytes and one chunk, or only the tail."""
    data = b""
    while (piece := await pipe.read(_CHUNK)) and (most is None or len(data) <= most):
        data = data + piece if most is not None else (data + piece)[-_TAIL_BYTES:]
    return data


def _words(name: ModelName) -> list[str]:
    """Return the command line with the full path of the program.

    Raises:
        ConfigError: the program does not exist
    """
    program, *arguments = shlex.split(name.command or "")
    found = shutil.which(program)
    if found is None:
        raise ConfigError(
            f"{name}: there is no program {program!r}",
            "install it, or give its whole path: the command starts in an empty folder",
        )
    return [str(Path(found).absolute()), *arguments]


def _failed(name: ModelName, text: str) -> ModelError:
    """Return the error of a command, which may work the next time."""
    error = ModelError(
        ModelFault.TRY_AGAIN,
        plain_text(name, ValueError(text)),
        f"try it by hand: echo Hello | {name.command}; then: evolve resume",
    )
    error.malformed = True  # three in a row before any reply are final
    return error
