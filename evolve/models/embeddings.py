"""Vectors of programs, for novelty: from tokens, or from a local or remote model."""

import asyncio
import base64
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from evolve.archive import TOKENS, Files, Proposal, Vector, embed, unit
from evolve.errors import ConfigError, PrerequisiteError, pip_line
from evolve.models.names import INSIDE
from evolve.models.protocol import Models
from evolve.sandbox import CandidateFault
from evolve.sandbox.aside import run_aside

MOST_CHARS = 24_000  # of a program; embedding models read no more
EMBED_S = 60.0  # for a large tree


class Embedder(Protocol):
    """Computes the vector of a tree of files.

    Attributes:
        source: stored with each vector; only vectors of the same source are compared
    """

    source: str

    async def vector(self, proposal: Proposal, files: Files) -> Vector:
        """Return the vector of `files`, path -> content; its length depends on the embedder."""


class TokenEmbedder:
    """Embedder by hashed token n-grams, without a model or costs."""

    source = TOKENS

    async def vector(self, proposal: Proposal, files: Files) -> Vector:
        """Return the vector of a tree.

        Args:
            proposal: unused
            files: path -> content

        Returns:
            Shape (256,). A large tree is embedded in a process with limits; one that
            exceeds them has the vector of a tree without tokens.
        """
        size = sum(map(len, files.values()))
        try:
            return await run_aside(embed, dict(files), size=size, time_s=EMBED_S)
        except CandidateFault:
            return embed({})


class ModelEmbedder:
    """Embedder by a remote model. Its calls have rows and budgets like all others.

    Args:
        model: name of the embedding model
        models: makes or replays the calls
    """

    def __init__(self, model: str, models: Models) -> None:
        self.source, self._models = model, models

    async def vector(self, proposal: Proposal, files: Files) -> Vector:
        """Return the stored vector of a tree, or a new one.

        Args:
            proposal: the proposal that the call belongs to
            files: path -> content

        Returns:
            A unit vector; its length depends on the model.

        Raises:
            OutOfBudget: the call does not fit into the budget, or the run is stopping
            ModelError: no reply after all retries
        """
        return unit(np.array(await self._models.embed(proposal, as_text(files))))


class TransformerEmbedder:
    """Embedder by a sentence transformer in this process, in a thread.

    Args:
        model: `transformer:` and the name or folder of the model

    Raises:
        PrerequisiteError: sentence-transformers is not installed
        ConfigError: the model can't be loaded
    """

    def __init__(self, model: str) -> None:
        self.source = model
        self._model: Any = load_transformer(model.removeprefix(INSIDE))
        self._one_at_a_time = asyncio.Lock()

    async def vector(self, proposal: Proposal, files: Files) -> Vector:
        """Return the vector of a tree.

        Args:
            proposal: unused
            files: path -> content

        Returns:
            A unit vector; its length depends on the model.
        """
        async with self._one_at_a_time:
            return unit(
                np.array(await asyncio.to_thread(self._model.encode, as_text(files)))
            )


def load_transformer(name: str) -> Any:
    """Load a sentence transformer.

    Args:
        name: its name or folder

    Returns:
        The model.

    Raises:
        PrerequisiteError: sentence-transformers is not installed
        ConfigError: the model can't be loaded
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise PrerequisiteError(
            "the package sentence-transformers is not installed",
            pip_line("embeddings"),
        ) from None
    try:
        return SentenceTransformer(name)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{INSIDE}{name} can't be loaded: {str(error)[:300]}",
            "give the name of a sentence transformer or its folder",
        ) from None


def as_text(files: Files) -> str:
    """Concatenate the files of a tree, sorted by path.

    Args:
        files: path -> content

    Returns:
        The first `MOST_CHARS` characters, each file after a line with its path.
    """
    parts = [
        f"# {path}\n{files[path].decode(errors='replace')}" for path in sorted(files)
    ]
    return "\n".join(parts)[:MOST_CHARS]


def pack_numbers(numbers: Sequence[float]) -> str:
    """Encode a vector as text for storage as a call's reply.

    Args:
        numbers: the vector

    Returns:
        Base64 of little-endian 32-bit floats.
    """
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


def unpack_numbers(text: str) -> list[float]:
    """Decode a vector that `pack_numbers` encoded.

    Args:
        text: Base64

    Returns:
        The vector, rounded to 32-bit floats.
    """
    return [float(number) for number in np.frombuffer(base64.b64decode(text), "<f4")]
