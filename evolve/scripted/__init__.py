"""The scripted model: an OpenAI-compatible server that answers without a model.

It finds the current program in a prompt, makes a small random change, and answers in
the form that the prompt asks for. Its behaviour follows from (messages, seed) alone,
not from the order of requests. It can be slow, fail in all the ways of servers, and
answer badly, so that everything around a model can be tried for free.
"""

from evolve.scripted.failures import FAILURES, Failure
from evolve.scripted.replies import answer, as_search_replace
from evolve.scripted.server import NAME, Script, ScriptedModel, serve

__all__ = [
    "FAILURES",
    "NAME",
    "Failure",
    "Script",
    "ScriptedModel",
    "answer",
    "as_search_replace",
    "serve",
]
