"""The longest of some Collatz sequences; the work is done ROUNDS times."""

ROUNDS = 2


def collatz(start):
    for _ in range(ROUNDS):
        longest = 0
        for n in range(start, start + 160):
            steps = 0
            while n != 1:
                n = n // 2 if n % 2 == 0 else 3 * n + 1
                steps += 1
            longest = max(longest, steps)
    return longest
