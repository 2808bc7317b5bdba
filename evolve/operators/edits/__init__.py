"""From a model's reply to files. What can be meant in one way only is applied; the rest is refused,
with a message that helps to answer better. Nothing is guessed in silence.
"""

from evolve.operators.edits.apply import apply_reply, first_words
from evolve.operators.edits.fences import Block, fenced_blocks, without_thinking
from evolve.operators.edits.search_replace import DIVIDER, REPLACE, SEARCH

__all__ = [
    "DIVIDER",
    "REPLACE",
    "SEARCH",
    "Block",
    "apply_reply",
    "fenced_blocks",
    "first_words",
    "without_thinking",
]
