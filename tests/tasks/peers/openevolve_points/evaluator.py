import itertools
import os
import sys

import numpy as np


def evaluate(program_path):
    try:
        folder = os.path.dirname(os.path.abspath(program_path))
        sys.path.insert(0, folder)
        program = __import__(os.path.splitext(os.path.basename(program_path))[0])
        found = program.points()
        if not isinstance(found, np.ndarray) or found.shape != (7, 2):
            raise ValueError("7 points are wanted")
        if found.min() < 0 or found.max() > 1:
            raise ValueError("outside the square")
        nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(found, 2))
        return {"distance": float(nearest), "combined_score": float(nearest) / 0.5358983848622454}
    except Exception as error:
        return {"combined_score": 0.0, "error": str(error)}
