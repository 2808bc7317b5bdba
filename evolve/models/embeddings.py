"""Vectors of programs, for novelty: from their tokens, or from a model, asked or in this process."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from evolve.archive import TOKENS, Proposal, Vector, embed, unit
from evolve.errors import ConfigError, PrerequisiteError
from evolve.models.names import INSIDE
from evolve.models.protocol import Models

MOST_CHARS = 24_000  # of a program; models of vectors read no more
SMALL_BYTES = 64 * 1024  # what the loop may read by itself


class Embedder(Protocol):
    """Makes the vector of a tree of files."""

    source: str  # what is kept with each vector

    async def vector(
        self, proposal: Proposal, files: Mapping[str, bytes]
    ) -> Vector: ...


class TokenEmbedder:
    """Hashed token n-grams: no model, no cost."""

    source = TOKENS

    async def vector(self, proposal: Proposal, files: Mapping[str, bytes]) -> Vector:
        """Shape (256,). A large tree is not read on the loop."""
        if sum(map(len, files.values())) > SMALL_BYTES:
            return await asyncio.to_thread(embed, files)
        return embed(files)


class ModelEmbedder:
    """A model behind an API or a server: calls with rows and budgets, as all others."""

    def __init__(self, model: str, models: Models) -> None:
        self.source, self._models = model, models

    async def vector(self, proposal: Proposal, files: Mapping[str, bytes]) -> Vector:
        """The stored vector of these files, or a new one. Raises as `Models.embed` does."""
        return unit(np.array(await self._models.embed(proposal, as_text(files))))


class TransformerEmbedder:
    """A sentence transformer in this process, in a thread."""

    def __init__(self, model: str) -> None:
        self.source = model
        self._model: Any = load_transformer(model.removeprefix(INSIDE))
        self._one_at_a_time = asyncio.Lock()

    async def vector(self, proposal: Proposal, files: Mapping[str, bytes]) -> Vector:
        """As long as the model makes them."""
        async with self._one_at_a_time:
            return unit(
                np.array(await asyncio.to_thread(self._model.encode, as_text(files)))
            )


def load_transformer(name: str) -> Any:
    """Raises `PrerequisiteError` without the extra, `ConfigError` for what is no model."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise PrerequisiteError(
            "the package sentence-transformers is not installed",
            "pip install sentence-transformers",
        ) from None
    try:
        return SentenceTransformer(name)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{INSIDE}{name} can't be loaded: {str(error)[:300]}",
            "give the name of a sentence transformer or its folder",
        ) from None


def as_text(files: Mapping[str, bytes]) -> str:
    """All files after each other, by name, as far as models read."""
    parts = [
        f"# {path}\n{files[path].decode(errors='replace')}" for path in sorted(files)
    ]
    return "\n".join(parts)[:MOST_CHARS]


def pack_numbers(numbers: Sequence[float]) -> str:
    """A vector as a call's reply is kept."""
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


def unpack_numbers(text: str) -> list[float]:
    """The vector that `pack_numbers` packed."""
    return [float(number) for number in np.frombuffer(base64.b64decode(text), "<f4")]
