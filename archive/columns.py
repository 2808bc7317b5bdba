"""A numpy array that grows: one column of a snapshot."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

_FIRST = 64
_S = TypeVar("_S", bound=np.generic)


class Growing(Generic[_S]):
    """Appending costs the same at a hundred and at a million rows; rows may have a width."""

    def __init__(self, dtype: type[_S], width: int | None = None) -> None:
        shape = (_FIRST,) if width is None else (_FIRST, width)
        self._data: NDArray[_S] = np.zeros(shape, dtype=dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> NDArray[_S]:
        """What was appended, shape (n,) or (n, width): a view, valid until the next append."""
        return self._data[:self._count]

    def append(self, value: Any) -> None:
        """One more row."""
        if self._count == len(self._data):
            # By half and not by two: at 100,000 vectors the copy is what memory is needed for.
            larger = np.zeros((self._count + self._count // 2, *self._data.shape[1:]),
                              dtype=self._data.dtype)
            larger[:self._count] = self._data
            self._data = larger
        self._data[self._count] = value
        self._count += 1
