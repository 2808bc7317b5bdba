"""Size of a cap set in AG(n, 3), verified exactly."""


def evaluate(candidate, case):
    n = case.params["n"]
    vectors = read_vectors(candidate, candidate.call("cap_set", n), n)
    members = set(vectors)
    if len(members) < len(vectors):
        candidate.fail("a vector appears twice")
    for i, a in enumerate(vectors):
        for b in vectors[:i]:
            third = tuple(-(x + y) % 3 for x, y in zip(a, b))
            if third in members:
                candidate.fail(f"three on a line: {b}, {a}, {third}")
    return {"score": len(vectors), "feedback": f"{len(vectors)} vectors, no three on a line"}


def read_vectors(candidate, answer, n):
    """The answer as tuples of plain 0, 1, 2."""
    rows = answer.tolist() if hasattr(answer, "tolist") else answer
    if not isinstance(rows, (list, tuple)) or not 1 <= len(rows) <= 3 ** n:
        candidate.fail(f"cap_set({n}) must return a list of 1 to {3 ** n} vectors")
    vectors = []
    for row in rows:
        row = row.tolist() if hasattr(row, "tolist") else row
        if not isinstance(row, (list, tuple)) or len(row) != n or not all(
                type(x) is int and 0 <= x <= 2 for x in row):
            candidate.fail(f"each vector must be {n} integers 0, 1 or 2; one is {row!r:.80}")
        vectors.append(tuple(row))
    return vectors
