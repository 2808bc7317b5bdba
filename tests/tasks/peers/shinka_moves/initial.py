import numpy as np

from world import Move, Step


# EVOLVE-BLOCK-START
def walk(goals):
    return [Step(Move.RIGHT if goal > 0 else Move.LEFT, float(np.round(abs(goal), 1))) for goal in goals]
# EVOLVE-BLOCK-END
