"""Scalar products of all vectors with one: numpy, or torch where there is a GPU and it pays."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAYS_FROM = 50_000  # rows; below, the way to the GPU and back costs more than numpy's scan


def products(matrix: NDArray[np.float32], vector: NDArray[np.float32], mirror: Mirror | None
             ) -> NDArray[np.float32]:
    """`matrix @ vector`, shape (n,)."""
    if mirror is not None and len(matrix) >= mirror.pays_from:
        return mirror.products(matrix, vector)
    # Not `@`: BLAS takes several threads, which wait by spinning on the candidates' cores, and is no
    # faster here, where memory is the limit.
    return np.asarray(np.einsum("ij,j->i", matrix, vector))


@lru_cache(maxsize=1)
def has_gpu() -> bool:
    """Whether torch is installed and sees a GPU. The import is slow, so it is made when asked."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


class Mirror:
    """A copy of a growing matrix on another device; only new rows travel."""

    def __init__(self, device: str = "cuda", pays_from: int = PAYS_FROM) -> None:
        import torch

        self.pays_from = pays_from
        self._torch: Any = torch
        self._device, self._count = device, 0
        self._rows: Any = None

    def products(self, matrix: NDArray[np.float32], vector: NDArray[np.float32]
                 ) -> NDArray[np.float32]:
        """As numpy's, to 1e-5."""
        self._catch_up(matrix)
        found = self._rows[:self._count] @ self._torch.from_numpy(vector).to(self._device)
        return np.asarray(found.cpu().numpy())

    def _catch_up(self, matrix: NDArray[np.float32]) -> None:
        count, width = matrix.shape
        if self._rows is None or count > len(self._rows):
            larger = self._torch.zeros((count + count // 2, width), device=self._device)
            if self._rows is not None:
                larger[:self._count] = self._rows[:self._count]
            self._rows = larger
        self._rows[self._count:count] = self._torch.from_numpy(matrix[self._count:count].copy())
        self._count = count
