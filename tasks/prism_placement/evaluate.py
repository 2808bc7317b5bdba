"""Cache pressure of placements; sizes and rates are the scorer's own, only numbers of GPUs come back."""

import functools

import numpy as np

MEMORY_GB = 80
FULL = 1_000_000.0  # the pressure of a GPU without a free byte


def evaluate(candidate, case):
    pressures = []
    for number, (gpus, models) in enumerate(instances(case.params["instances"], case.params["seed"])):
        answer = candidate.call("place", gpus, [list(model) for model in models])
        pressures.append(pressure(candidate, number, gpus, models, answer))
    worst = max(range(len(pressures)), key=pressures.__getitem__)
    return {"score": float(1.0 / np.mean(pressures) + 1.0),
            "metrics": {"worst": pressures[worst]},
            "feedback": f"the highest pressure, {pressures[worst]:.5f}, is in instance {worst}"}


@functools.cache
def instances(count, seed):
    """The instances of the published benchmark, drawn in the same order."""
    draw = np.random.RandomState(seed)
    found = []
    for _ in range(count):
        gpus = int(draw.randint(5, 10))
        found.append((gpus, [tuple(int(draw.randint(*ends)) for ends in ((10, 30), (1, 10), (5, 10)))
                             for _ in range(2 * gpus)]))
    return found


def pressure(candidate, number, gpus, models, answer):
    """The largest pressure of a valid placement."""
    chosen = answer.tolist() if hasattr(answer, "tolist") else answer
    if not isinstance(chosen, (list, tuple)) or len(chosen) != len(models) or not all(
            type(gpu) is int and 0 <= gpu < gpus for gpu in chosen):
        candidate.fail(f"instance {number}: place must return {len(models)} numbers from 0 to {gpus - 1}")
    highest = 0.0
    for gpu in range(gpus):
        mine = [model for model, where in zip(models, chosen) if where == gpu]
        free = MEMORY_GB - sum(size for size, _, _ in mine)
        if free < 0:
            candidate.fail(f"instance {number}: the models on GPU {gpu} need {MEMORY_GB - free} GB")
        load = sum(rate / slo for _, rate, slo in mine)
        highest = max(highest, load / free if free > 0 else FULL)
    return highest
