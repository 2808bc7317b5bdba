"""Plans a round trip."""

from construct import first_tour
from improve import shorter


def tour(points):
    """An order to visit the points in."""
    return shorter(points, first_tour(points))
