"""A cap set by a greedy pass over all vectors in the order of a priority."""

import itertools


# EVOLVE-BLOCK-START
def priority(vector, n):
    """Vectors of higher priority are tried first."""
    ones = vector.count(1)
    twos = vector.count(2)
    score = 0.0
    score += 0.1 * ones
    score -= 0.1 * twos
    for k in range(n):
        score += 0.01 * k * vector[k]
        score += 0.0 * vector[k] * vector[(k + 1) % n]
        score += 0.0 * vector[k] * vector[(k + 3) % n]
    return score
# EVOLVE-BLOCK-END


def cap_set(n):
    """Greedy: take a vector unless it would complete a line."""
    vectors = sorted(itertools.product(range(3), repeat=n), key=lambda v: -priority(v, n))
    chosen, blocked = [], set()
    for vector in vectors:
        if vector in blocked:
            continue
        for other in chosen:
            blocked.add(tuple(-(a + b) % 3 for a, b in zip(vector, other)))
        chosen.append(vector)
    return [list(vector) for vector in chosen]
