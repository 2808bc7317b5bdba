"""Applying a model's reply to files.

Unambiguous edits are applied. Ambiguous ones are rejected with a message that helps the
model to answer better; nothing is guessed silently.
"""

from evolve.operators.edits.apply import apply_aside, apply_reply, first_words
from evolve.operators.edits.fences import Block, fenced_blocks
from evolve.operators.edits.search_replace import DIVIDER, REPLACE, SEARCH
from evolve.operators.edits.thoughts import without_thinking

__all__ = [
    "DIVIDER",
    "REPLACE",
    "SEARCH",
    "Block",
    "apply_aside",
    "apply_reply",
    "fenced_blocks",
    "first_words",
    "without_thinking",
]
