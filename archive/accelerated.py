"""Scalar products of all vectors with one: numpy, or torch where there is a GPU and it pays."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096  # rows
# rows; below, the way to the GPU and back costs more than numpy's scan
PAYS_FROM = 50_000


class Blocks:
    """A matrix that grows without being copied: at 100,000 vectors a copy is a third of the memory."""

    def __init__(self, width: int) -> None:
        self._width, self._count = width, 0
        self._blocks: list[NDArray[np.float32]] = []

    def __len__(self) -> int:
        return self._count

    def extend(self, rows: NDArray[np.floating]) -> None:
        """More rows, shape (m, width). Raises `ValueError` for another width."""
        while len(rows):
            place = self._count % BLOCK
            if place == 0:
                self._blocks.append(np.zeros((BLOCK, self._width), np.float32))
            some = rows[: BLOCK - place]
            self._blocks[-1][place : place + len(some)] = some
            self._count += len(some)
            rows = rows[len(some) :]

    def rows(self, first: int = 0) -> NDArray[np.float32]:
        """From a row on, shape (n - first, width): a copy."""
        if first >= self._count:
            return np.zeros((0, self._width), np.float32)
        start = first // BLOCK
        found = np.concatenate(self._blocks[start:])
        return found[first - start * BLOCK : self._count - start * BLOCK]

    def products(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Each row times the vector, shape (n,).

        Not `@`: BLAS takes several threads, which wait by spinning on the candidates' cores, and is no
        faster here, where memory is the limit.
        """
        found = [np.einsum("ij,j->i", block, vector) for block in self._blocks]
        return (
            np.concatenate(found)[: self._count] if found else np.zeros(0, np.float32)
        )


def products(
    matrix: Blocks, vector: NDArray[np.float32], mirror: Mirror | None
) -> NDArray[np.float32]:
    """`matrix @ vector`, shape (n,)."""
    if mirror is not None and len(matrix) >= mirror.pays_from:
        return mirror.products(matrix, vector)
    return matrix.products(vector)


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

    def products(
        self, matrix: Blocks, vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """As numpy's, to 1e-5."""
        self._catch_up(matrix)
        found = self._rows[: self._count] @ self._torch.from_numpy(vector).to(
            self._device
        )
        return np.asarray(found.cpu().numpy())

    def _catch_up(self, matrix: Blocks) -> None:
        new, count = matrix.rows(self._count), len(matrix)
        width = new.shape[1]
        if self._rows is None or count > len(self._rows):
            larger = self._torch.zeros((count + count // 2, width), device=self._device)
            if self._rows is not None:
                larger[: self._count] = self._rows[: self._count]
            self._rows = larger
        self._rows[self._count : count] = self._torch.from_numpy(new)
        self._count = count
