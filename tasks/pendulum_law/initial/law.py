"""The period of a pendulum."""

import math


# EVOLVE-BLOCK-START
def period(length, gravity, angle):
    """For small angles."""
    return 2 * math.pi * math.sqrt(length / gravity)
# EVOLVE-BLOCK-END
