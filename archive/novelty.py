"""Novelty without a model: hashed token n-grams of the source, in numpy."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

WIDTH = 256
NEAREST = 10
_TOKEN = re.compile(rb"[A-Za-z_]\w*|\d+(?:\.\d+)?|[^\s\w]")
_COMMENT = re.compile(rb"#[^\n]*|//[^\n]*")

Vector = NDArray[np.float32]


def embed(files: Mapping[str, bytes]) -> Vector:
    """A unit vector, shape (256,), of the token 1- to 3-grams of all files, comments left out.

    Signed feature hashing (Weinberger et al. 2009, arXiv 0902.2206).
    """
    vector = np.zeros(WIDTH, dtype=np.float32)
    for path in sorted(files):
        tokens = _TOKEN.findall(_COMMENT.sub(b"", files[path]))
        for size in (1, 2, 3):
            for start in range(len(tokens) - size + 1):
                code = zlib.crc32(b" ".join(tokens[start:start + size]))
                vector[code % WIDTH] += 1.0 if code & 0x8000_0000 else -1.0
    norm = float(np.linalg.norm(vector))
    return vector / np.float32(norm) if norm else vector


class NoveltyIndex:
    """Vectors of all variants in one growing float32 matrix."""

    def __init__(self) -> None:
        self._rows = np.zeros((64, WIDTH), dtype=np.float32)
        self._count = 0

    def add(self, vector: Vector) -> float:
        """Add one; returns its novelty: mean cosine distance (0 to 2) to the ten nearest before it.

        The first one's novelty is 1. Lehman and Stanley 2011, eq. 1.
        """
        novelty = self.novelty(vector)
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[self._count] = vector
        self._count += 1
        return novelty

    def novelty(self, vector: Vector) -> float:
        """Mean cosine distance to the ten nearest; 1 when there is none."""
        if self._count == 0:
            return 1.0
        distances = 1.0 - self._rows[:self._count] @ vector
        if self._count > NEAREST:
            distances = np.partition(distances, NEAREST)[:NEAREST]
        return float(distances.mean())
