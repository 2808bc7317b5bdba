"""Novelty: vectors of programs in one float32 matrix, searched exactly.

Without an embedding model a vector consists of hashed token n-grams of the normalised
source.
"""

import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evolve.archive.accelerated import PAYS_FROM, Mirror, has_gpu, products
from evolve.archive.columns import GrowableArray, Ints
from evolve.archive.source import tokens

WIDTH = 256
NEAREST = 10
TOKENS = "tokens"  # the source of vectors that need no model
_MIX = np.uint32(0x9E3779B1)

Vector = NDArray[np.float32]


class Neighbours(NamedTuple):
    """The nearest rows, nearest first, and their cosine distances (0 to 2)."""

    rows: Ints
    distances: NDArray[np.float32]


def embed(files: Mapping[str, bytes]) -> Vector:
    """Return the vector of the token 1- to 3-grams of all files.

    Comments, formatting and bound names are normalised away. Signed feature hashing
    (Weinberger et al. 2009, arXiv 0902.2206).

    Args:
        files: Path -> content.

    Returns:
        A unit vector, shape (256,); zeros for files without tokens.
    """
    vector = np.zeros(WIDTH)
    for path in sorted(files):
        codes = np.array(
            [
                _code(kind if kind == "bound" else text)
                for kind, text in tokens(path, files[path])
            ],
            dtype=np.uint32,
        )
        grams = np.zeros_like(codes)
        for size in range(min(3, len(codes))):
            codes = grams[: len(codes) - size] * _MIX + codes[size:]
            codes = (codes ^ (codes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
            codes = (codes ^ (codes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
            grams = np.asarray(codes ^ (codes >> np.uint32(16)))
            signs = np.where(grams & np.uint32(0x8000_0000), 1.0, -1.0)
            vector += np.bincount(grams % np.uint32(WIDTH), signs, WIDTH)
    return unit(vector)


def unit(vector: NDArray[np.floating]) -> Vector:
    """Scale a vector to length one and round it to float16.

    The rounding is that of the database, so that a resumed run computes the same
    distances.

    Args:
        vector: Shape (width,).

    Returns:
        Shape (width,), float32; a zero vector stays zero.
    """
    norm = float(np.linalg.norm(vector))
    return unpack_vector(pack_vector(vector / norm if norm else vector))


def pack_vector(vector: NDArray[np.floating]) -> bytes:
    """Return a vector as the database stores it.

    Args:
        vector: Shape (width,).

    Returns:
        float16, little-endian.
    """
    return vector.astype("<f2").tobytes()


def unpack_vector(data: bytes) -> Vector:
    """Return the vector that `pack_vector` packed.

    Args:
        data: float16, little-endian.

    Returns:
        Shape (width,), float32.
    """
    return np.frombuffer(data, dtype="<f2").astype(np.float32)


class NoveltyIndex:
    """Vectors of all variants, in the order of their addition.

    Args:
        mirror: A copy on a GPU; None: made at 50,000 vectors if there is a GPU.
    """

    def __init__(self, mirror: Mirror | None = None) -> None:
        self._matrix: GrowableArray[np.float32] | None = None
        self._mirror = mirror

    def __len__(self) -> int:
        return 0 if self._matrix is None else len(self._matrix)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """All vectors, shape (n, width), (0, 0) before the first."""
        if self._matrix is None:
            return np.zeros((0, 0), np.float32)
        return self._matrix.rows

    def append(self, vector: Vector) -> None:
        """Append a vector.

        Args:
            vector: Shape (width,), with the width of the first one.
        """
        self._extend(vector[np.newaxis])

    def extend(self, packed: Sequence[bytes]) -> None:
        """Append packed vectors.

        Args:
            packed: At least one vector, each as `pack_vector` returns it.
        """
        self._extend(
            np.frombuffer(b"".join(packed), dtype="<f2").reshape(len(packed), -1)
        )

    def _extend(self, rows: NDArray[np.floating]) -> None:
        if self._matrix is None:
            self._matrix = GrowableArray(np.float32, rows.shape[1])
        self._matrix.extend(rows)

    def nearest(
        self, vector: Vector, count: int = NEAREST, among: int | None = None
    ) -> Neighbours:
        """Return the nearest rows by cosine distance, by an exact scan.

        Args:
            vector: A unit vector, shape (width,).
            count: Maximum number of rows.
            among: Search only the first `among` rows; None: all.

        Returns:
            Rows and distances, nearest first; ties in the order of addition.
        """
        if self._mirror is None and len(self) == PAYS_FROM and has_gpu():
            self._mirror = Mirror()
        if self._matrix is None:
            return Neighbours(np.zeros(0, np.int64), np.zeros(0, np.float32))
        alike = products(self._matrix, vector, self._mirror)[:among]
        rows = np.arange(len(alike))
        if len(alike) > count:
            rows = np.sort(np.argpartition(alike, -count)[-count:])
        rows = rows[np.argsort(-alike[rows], kind="stable")]
        return Neighbours(rows, np.maximum(1.0 - alike[rows], 0.0))

    def novelty(self, vector: Vector) -> float:
        """Return the mean cosine distance to the ten nearest vectors.

        Lehman and Stanley 2011, eq. 1. Rounded to six digits, because the last ones
        depend on the machine.

        Args:
            vector: A unit vector, shape (width,).

        Returns:
            From 0 to 2; 1 when the index is empty.
        """
        if not len(self):
            return 1.0
        return round(float(self.nearest(vector).distances.mean()), 6)


@lru_cache(maxsize=1 << 16)
def _code(text: str) -> int:
    return zlib.crc32(text.encode(errors="surrogatepass"))
