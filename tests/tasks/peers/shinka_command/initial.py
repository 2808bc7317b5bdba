import json
import sys

# EVOLVE-BLOCK-START
def answer(n):
    return n * n
# EVOLVE-BLOCK-END


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        numbers = json.load(file)
    with open(sys.argv[2], "w") as file:
        json.dump([answer(n) for n in numbers], file)
