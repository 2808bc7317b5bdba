# EVOLVE-BLOCK-START
def place(boxes, count, weigh):
    bins = {number: [] for number in range(count)}
    for box in sorted(boxes, key=weigh):
        lightest = min(bins, key=lambda number: sum(other.weight for other in bins[number]))
        bins[lightest].append(box)
    return bins


class Counter:
    def __init__(self, start):
        self.value = start

    def up(self, step):
        self.value += step
        return self.value
# EVOLVE-BLOCK-END
