"""Sort the columns of a large array; the work is done ROUNDS times."""
import numpy as np

ROUNDS = 2


def sort_columns(array):
    for _ in range(ROUNDS):
        result = np.sort(array, axis=0)
    return result
