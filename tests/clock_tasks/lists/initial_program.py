"""Prefix sums of a list; the work is done ROUNDS times."""

ROUNDS = 2


def prefix_sums(numbers):
    for _ in range(4 * ROUNDS):
        total, result = 0, []
        for number in numbers:
            total = (total + number**5 % 101) % 1_000_003
            result.append(total)
    return result
