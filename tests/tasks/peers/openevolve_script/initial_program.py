# EVOLVE-BLOCK-START
import math


def numbers():
    return [round(math.sqrt(n), 3) for n in range(10)]
# EVOLVE-BLOCK-END
