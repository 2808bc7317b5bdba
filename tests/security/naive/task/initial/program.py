def answer(points):
    return [0.0 for x in points]
