# EVOLVE-BLOCK-START
import numpy as np


def points():
    angles = np.linspace(0, 2 * np.pi, 7, endpoint=False)
    return 0.5 + 0.4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
# EVOLVE-BLOCK-END
