"""Makes a tour shorter."""

ROUNDS = 1


def shorter(points, order):
    """Not yet: the tour as it is."""
    for _ in range(ROUNDS):
        order = order[1:] + order[:1]
    return order
