"""A numpy array that grows: one column of a snapshot."""

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_FIRST = 64
_S = TypeVar("_S", bound=np.generic)


class GrowableArray(Generic[_S]):
    """An array with amortised constant-time `append`.

    New rows wait in a list until `rows` is read: opening a run appends a hundred
    thousand of them, and numpy copies many at once in the time of a few.

    Args:
        dtype: Type of the elements.
        width: Number of columns; None for a one-dimensional array.
    """

    def __init__(self, dtype: type[_S], width: int | None = None) -> None:
        shape = (_FIRST,) if width is None else (_FIRST, width)
        self._data: NDArray[_S] = np.zeros(shape, dtype=dtype)
        self._count = 0
        self._new: list[Any] = []

    def __len__(self) -> int:
        return self._count + len(self._new)

    @property
    def rows(self) -> NDArray[_S]:
        """All rows, shape (n,) or (n, width): a view, valid until the next append."""
        if self._new:
            count = len(self)
            if count > len(self._data):
                larger = np.zeros(
                    (max(count, self._count * 3 // 2), *self._data.shape[1:]),
                    dtype=self._data.dtype,
                )
                larger[: self._count] = self._data[: self._count]
                self._data = larger
            self._data[self._count : count] = self._new
            self._count = count
            self._new.clear()
        return self._data[: self._count]

    def append(self, value: Any) -> None:
        """Append a row.

        Args:
            value: A number, or a sequence of `width` numbers.
        """
        self._new.append(value)

    def extend(self, values: Iterable[Any]) -> None:
        """Append several rows.

        Args:
            values: One number per row, or `width` numbers each.
        """
        self._new.extend(values)

    def increment(self, row: int, by: int = 1) -> None:
        """Add to a number in place; for arrays without a width.

        Args:
            row: Index of the row.
            by: Amount to add.
        """
        waiting = row - self._count
        if waiting >= 0:
            self._new[waiting] += by
        else:
            self._data[row] += by
