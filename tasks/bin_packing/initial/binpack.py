"""Bin packing: items in the order of a key, each into the bin that a rule likes best."""


# EVOLVE-BLOCK-START
def key(size, capacity):
    """Items with a larger key are placed first."""
    return 0.0 * size / capacity


def fit(gap, size, capacity):
    """How well an item fits into what is left of a bin; the largest wins."""
    left = (gap - size) / capacity
    value = 1.0 * left
    if left < 0.05:
        value += 0.1
    return value


def pack(items, capacity):
    """The number of the bin of each item."""
    order = sorted(range(len(items)), key=lambda i: -key(items[i], capacity))
    gaps = []
    bins = [0] * len(items)
    for i in order:
        size = items[i]
        open_bins = [b for b in range(len(gaps)) if gaps[b] >= size]
        if open_bins:
            chosen = max(open_bins, key=lambda b: fit(gaps[b], size, capacity))
        else:
            chosen = len(gaps)
            gaps.append(capacity)
        gaps[chosen] -= size
        bins[i] = chosen
    return bins
# EVOLVE-BLOCK-END
