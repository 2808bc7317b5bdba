"""Speed of a compiled nearest-neighbour search; every answer is checked with exact integers."""

import functools

import numpy as np

RUNS = 3
SIDE = 2**20
COMPILE = ["gcc", "-O2", "-o", "nearest", "nearest.c", "-lm"]


def evaluate(candidate, case):
    compiled = candidate.run(COMPILE)
    if compiled.exit != 0:
        candidate.fail("it does not compile: " + compiled.stderr.decode(errors="replace")[-1500:])
    points, nearest = instance(case.params["points"], case.params["seed"])
    text = f"{len(points)}\n" + "".join(f"{x} {y}\n" for x, y in points.tolist())
    seconds = []
    for _ in range(RUNS):
        done = candidate.run(["./nearest"], stdin=text.encode())
        seconds.append(candidate.seconds)  # measured outside the sandbox
        if done.exit != 0:
            candidate.fail(f"it ended with status {done.exit}")
        check(candidate, points, nearest, done.stdout)
    best = min(seconds)
    return {"score": len(points) / best / 1e6, "metrics": {"seconds": best},
            "feedback": f"{len(points)} points in {best:.4f} s, runs {[round(s, 4) for s in seconds]}"}


@functools.cache
def instance(count, seed):
    """Points, and the exact squared distance to the nearest other point of each."""
    points = np.random.default_rng(seed).integers(0, SIDE, size=(count, 2))
    nearest = np.empty(count, dtype=np.int64)
    for start in range(0, count, 500):
        block = points[start:start + 500]
        distances = ((block[:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
        distances[np.arange(len(block)), np.arange(start, start + len(block))] = 4 * SIDE**2
        nearest[start:start + len(block)] = distances.min(axis=1)
    return points, nearest


def check(candidate, points, nearest, output):
    """Each line must name another point at exactly the smallest distance."""
    lines = output.split()
    if len(lines) != len(points) or not all(line.isdigit() and len(line) < 9 for line in lines):
        candidate.fail(f"it must write {len(points)} indices, one a line")
    chosen = np.array([int(line) for line in lines])
    if chosen.max() >= len(points) or (chosen == np.arange(len(points))).any():
        candidate.fail("an index is no other point's")
    distances = ((points - points[chosen]) ** 2).sum(axis=1)
    wrong = np.flatnonzero(distances != nearest)
    if len(wrong):
        i = int(wrong[0])
        candidate.fail(f"{len(wrong)} answers are wrong; for point {i} it names {int(chosen[i])} at "
                       f"squared distance {int(distances[i])}, the nearest is at {int(nearest[i])}")
