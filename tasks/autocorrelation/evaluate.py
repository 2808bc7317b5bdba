"""Peak of the autoconvolution of a step function, from its heights."""

import numpy as np


def evaluate(candidate, case):
    heights = read(candidate, candidate.call("heights", case.params["n"]), case.params["n"])
    total = heights.sum()
    if not 1e-6 < total < 1e9:
        candidate.fail(f"the heights sum to {total!r}; they must to something between 1e-6 and 1e9")
    # Between its corners the autoconvolution is linear, and the corners are sums of products.
    corners = np.convolve(heights, heights)
    peak = int(corners.argmax())
    return {"score": float(2 * len(heights) * corners[peak] / total**2),
            "metrics": {"steps": len(heights)},
            "feedback": f"{len(heights)} steps; the peak is at corner {peak} of {len(corners)}"}


def read(candidate, answer, n):
    rows = answer.tolist() if hasattr(answer, "tolist") else answer
    if not isinstance(rows, (list, tuple)) or len(rows) != n:
        candidate.fail(f"heights({n}) must return {n} numbers")
    if not all(type(v) in (int, float) and 0 <= v <= 1e6 for v in rows):
        candidate.fail("each height must be a real number from 0 to a million")
    return np.array(rows, dtype=np.float64)
