"""The way to a model: chat completions over plain HTTP."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request

TEMPERATURE, WARMER = 0.2, 0.6


class Stopped(Exception):
    """There will be no more answers: a limit is reached."""


def ask(messages: list[dict[str, str]], repeats: int = 0) -> str:
    """The model's answer, with more chance the more often it repeated itself. Raises `Stopped`."""
    temperature = TEMPERATURE + WARMER * repeats
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"messages": messages, "temperature": temperature}).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": "Bearer " + os.environ.get("OPENAI_API_KEY", ""),
        },
    )
    try:
        with urllib.request.urlopen(request) as response:
            return json.load(response)["choices"][0]["message"]["content"]
    except urllib.error.HTTPError as error:
        raise Stopped(error.read().decode(errors="replace")[:500]) from None
