"""Check of a model: its server, the models there, and a short question at the run's own sizes."""

from contextlib import aclosing

from evolve.checking.findings import Finding
from evolve.config import Settings, resolve_model
from evolve.errors import EvolveError, PrerequisiteError
from evolve.models import (
    Adapted,
    Client,
    Listed,
    Meeting,
    ModelError,
    ModelName,
    check_key,
    local_models,
    parse_model,
)
from evolve.text import Note, one_line

LONGEST_S = 60.0  # for the answer
_SHOWN = 20  # names of a server's models
_MOST_LESSONS = 8
_QUESTION = [
    {"role": "system", "content": "You answer in one word."},
    {"role": "user", "content": "Say hello."},
]


def _without_this(hint: str) -> str:
    """Return a hint without the step that leads back to this check."""
    return hint.partition("; then: evolve doctor")[0]


async def examine_model(
    text: str, settings: Settings | None, note: Note
) -> list[Finding]:
    """Ask a model, and learn how it wants to be asked.

    Args:
        text: name of the model, with its options
        settings: of a run with it; None: the defaults
        note: called with messages for people

    Returns:
        Findings: the server's models, what is asked differently, and the answer.
    """
    found: list[Finding] = []
    try:
        chosen = resolve_model(text, settings)
        name = parse_model(chosen.model[0])
        check_key(name, chosen.model_options)
        async with (
            local_models(chosen, note) as addresses,
            aclosing(Client(LONGEST_S, addresses, chosen.model_options)) as client,
        ):
            listed = await client.listed(name)
            found += _on_server(name, listed)
            lines: list[str] = []
            meeting = Meeting(name, chosen, client.options_of(name), lines.append)
            meeting.manner.sizes.window = listed.window
            meeting.tell_sizes()
            answer = await _answer(meeting, client)
            found += [
                Finding("warn", line, "a run does so by itself") for line in lines
            ]
    except EvolveError as error:
        start = error.start if isinstance(error, ModelError) else ""
        return [
            *found,
            Finding(
                "fail", f"model {error.message}", start or _without_this(error.hint)
            ),
        ]
    return [*found, Finding("ok", f"model {name} answers: {one_line(answer, 40)!r}")]


def _on_server(name: ModelName, listed: Listed) -> list[Finding]:
    """Return what a server has."""
    if not listed.models:
        return []
    shown = ", ".join(listed.models[:_SHOWN])
    more = len(listed.models) - _SHOWN
    text = f"the server of {name} has {shown}" + (
        f" and {more} more" if more > 0 else ""
    )
    return [Finding("ok", text)]


async def _answer(meeting: Meeting, client: Client) -> str:
    """Return the answer to a short question.

    Raises:
        ModelError: there is none
    """
    for attempt in range(_MOST_LESSONS):
        ask = meeting.params(_QUESTION, meeting.wanted_reply, attempt, 0.0)
        try:
            reply = await client.complete(meeting.name, _QUESTION, ask, meeting.manner)
        except ModelError as error:
            judged = meeting.failed(error)
            if isinstance(judged, Adapted):
                continue
            raise judged from None
        meeting.replied(_QUESTION, reply)
        return reply.samples[0].text.strip()
    raise PrerequisiteError(
        f"{meeting.name} refuses one parameter after the other",
        "name those that it takes: --model 'NAME temperature=none'",
    )
