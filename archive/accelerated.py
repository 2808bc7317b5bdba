"""Dot products of all vectors with one vector: numpy, or torch where a GPU pays off."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evolve.archive.columns import GrowableArray

# rows; with fewer, the transfer to the GPU and back costs more than numpy's scan
PAYS_FROM = 50_000


def products(
    matrix: GrowableArray[np.float32],
    vector: NDArray[np.float32],
    mirror: "Mirror | None",
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
    # row by row, so that the sums of a row never depend on the number of rows
    return np.asarray(np.einsum("ij,j->i", matrix.rows, vector))


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
        self, matrix: GrowableArray[np.float32], vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return `matrix @ vector`, computed on the device.

        Args:
            matrix: The same matrix in every call; rows added since the last call are
                copied first.
            vector: Shape (width,).

        Returns:
            Shape (n,), equal to numpy's result to 1e-5.
        """
        new, count = matrix.rows[self._count :], len(matrix)
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
