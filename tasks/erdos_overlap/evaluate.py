"""Largest overlap of a step function with the complement of its translates."""

import numpy as np


def evaluate(candidate, case):
    heights = read(candidate, candidate.call("heights", case.params["n"]), case.params["n"])
    total = heights.sum()
    if not 1e-6 < total:
        candidate.fail("the heights sum to nothing")
    heights = heights * (len(heights) / 2 / total)
    if heights.max() > 1:
        candidate.fail(f"scaled to integral 1, the highest step is {heights.max()!r}, above 1")
    # In k the overlap is linear between multiples of the width: its peak is at one of them.
    overlaps = np.correlate(heights, 1 - heights, "full") * (2 / len(heights))
    outside = 0.0  # beyond [0, 2] both functions are 0: nothing is added
    peak = int(overlaps.argmax())
    return {"score": float(max(overlaps[peak], outside)), "metrics": {"steps": len(heights)},
            "feedback": f"{len(heights)} steps; the peak is at shift {peak - len(heights) + 1} of them"}


def read(candidate, answer, n):
    rows = answer.tolist() if hasattr(answer, "tolist") else answer
    if not isinstance(rows, (list, tuple)) or len(rows) != n:
        candidate.fail(f"heights({n}) must return {n} numbers")
    if not all(type(v) in (int, float) and 0 <= v <= 1e6 for v in rows):
        candidate.fail("each height must be a real number from 0 to a million")
    return np.array(rows, dtype=np.float64)
