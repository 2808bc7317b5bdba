"""Dot products of all vectors with one vector: numpy, or torch where a GPU pays off."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096  # rows
# rows; with fewer, the transfer to the GPU and back costs more than numpy's scan
PAYS_FROM = 50_000


class Blocks:
    """A matrix of float32 that grows in blocks, so that growing never copies it.

    At 100,000 vectors a copy would take a third of the memory.

    Args:
        width: Number of columns.
    """

    def __init__(self, width: int) -> None:
        self._width, self._count = width, 0
        self._blocks: list[NDArray[np.float32]] = []

    def __len__(self) -> int:
        return self._count

    def extend(self, rows: NDArray[np.floating]) -> None:
        """Append rows.

        Args:
            rows: Shape (m, width); stored as float32.

        Raises:
            ValueError: The rows have another width.
        """
        while len(rows):
            place = self._count % BLOCK
            if place == 0:
                self._blocks.append(np.zeros((BLOCK, self._width), np.float32))
            some = rows[: BLOCK - place]
            self._blocks[-1][place : place + len(some)] = some
            self._count += len(some)
            rows = rows[len(some) :]

    def rows(self, first: int = 0) -> NDArray[np.float32]:
        """Return a copy of the rows from `first` on.

        Args:
            first: Index of the first row.

        Returns:
            Shape (n - first, width); shape (0, width) when `first` is past the end.
        """
        if first >= self._count:
            return np.zeros((0, self._width), np.float32)
        start = first // BLOCK
        found = np.concatenate(self._blocks[start:])
        return found[first - start * BLOCK : self._count - start * BLOCK]

    def products(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the dot product of each row with `vector`.

        Not `@`: BLAS uses several threads, which busy-wait on the candidates' cores,
        and is no faster here, where memory is the limit.

        Args:
            vector: Shape (width,).

        Returns:
            Shape (n,).
        """
        found = [np.einsum("ij,j->i", block, vector) for block in self._blocks]
        return (
            np.concatenate(found)[: self._count] if found else np.zeros(0, np.float32)
        )


def products(
    matrix: Blocks, vector: NDArray[np.float32], mirror: "Mirror | None"
) -> NDArray[np.float32]:
    """Return `matrix @ vector`.

    Args:
        matrix: n rows.
        vector: Shape (width,).
        mirror: Computes the product on its device when the matrix has at least
            `mirror.pays_from` rows; None: always numpy.

    Returns:
        Shape (n,).
    """
    if mirror is not None and len(matrix) >= mirror.pays_from:
        return mirror.products(matrix, vector)
    return matrix.products(vector)


@lru_cache(maxsize=1)
def has_gpu() -> bool:
    """Return whether torch is installed and sees a GPU.

    torch is imported only here and in `Mirror`, because its import is slow.
    """
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


class Mirror:
    """A copy of a growing matrix on another device; only new rows are transferred.

    Args:
        device: Name of a torch device.
        pays_from: Number of rows from which `products` uses the mirror.
    """

    def __init__(self, device: str = "cuda", pays_from: int = PAYS_FROM) -> None:
        import torch

        self.pays_from = pays_from
        self._torch: Any = torch
        self._device, self._count = device, 0
        self._rows: Any = None

    def products(
        self, matrix: Blocks, vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return `matrix @ vector`, computed on the device.

        Args:
            matrix: The same matrix in every call; rows added since the last call are
                copied first.
            vector: Shape (width,).

        Returns:
            Shape (n,), equal to numpy's result to 1e-5.
        """
        new, count = matrix.rows(self._count), len(matrix)
        width = new.shape[1]
        if self._rows is None or count > len(self._rows):
            larger = self._torch.zeros((count + count // 2, width), device=self._device)
            if self._rows is not None:
                larger[: self._count] = self._rows[: self._count]
            self._rows = larger
        self._rows[self._count : count] = self._torch.from_numpy(new)
        self._count = count
        found = self._rows[: self._count] @ self._torch.from_numpy(vector).to(
            self._device
        )
        return np.asarray(found.cpu().numpy())
