"""Quality of a bin packing heuristic over generated instances: lower bound over bins used."""

import random


def evaluate(candidate, case):
    qualities = []
    for number, items in enumerate(instances(case.params)):
        capacity = case.params["capacity"]
        answer = candidate.call("pack", list(items), capacity)
        used = count_bins(candidate, answer, items, capacity, number)
        qualities.append(-(-sum(items) // capacity) / used)
    worst = min(range(len(qualities)), key=qualities.__getitem__)
    return {
        "score": sum(qualities) / len(qualities),
        "metrics": {"worst": qualities[worst], "best": max(qualities)},
        "feedback": f"{case.id}: mean {sum(qualities) / len(qualities)!r}, "
                    f"worst instance {qualities[worst]:.4f}",
    }


def instances(params):
    """Seeded lists of sizes; they never leave this process except as arguments."""
    rng = random.Random(params["seed"])
    for _ in range(params["instances"]):
        yield [rng.randint(params["low"], params["high"]) for _ in range(params["items"])]


def count_bins(candidate, answer, items, capacity, number):
    """Bins used by a valid answer; our own list of sizes counts, not what came back."""
    bins = answer.tolist() if hasattr(answer, "tolist") else answer
    if not isinstance(bins, (list, tuple)) or len(bins) != len(items) or not all(
            type(b) is int and b >= 0 for b in bins):
        candidate.fail(f"instance {number}: pack must return {len(items)} bin numbers")
    load = {}
    for size, b in zip(items, bins):
        load[b] = load.get(b, 0) + size
    fullest = max(load, key=load.get)
    if load[fullest] > capacity:
        candidate.fail(f"instance {number}: bin {fullest} holds {load[fullest]} of {capacity}")
    return len(load)
