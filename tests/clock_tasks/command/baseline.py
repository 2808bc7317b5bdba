"""The evaluator's own function, as a command."""
import sys

from evaluator import collatz

print(collatz(int(sys.argv[1])))
