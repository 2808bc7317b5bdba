"""Solve a linear system by its Cholesky factors; the work is done ROUNDS times."""
import numpy as np

ROUNDS = 2


class Solver:
    def solve(self, problem):
        matrix = problem["matrix"]
        for _ in range(4 * ROUNDS):
            factor = np.linalg.cholesky(matrix)
        return {"factor": factor}
