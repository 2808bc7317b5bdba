import json
import sys
from importlib.machinery import SourceFileLoader


def evaluate(program_path, results_path):
    program = SourceFileLoader("program", program_path).load_module()
    miss = abs(program.add([0.1] * 9) - 0.9)
    with open(results_path, "w") as file:
        json.dump({"closeness": 1 / (1 + miss), "miss": miss}, file)


if __name__ == "__main__":
    evaluate(sys.argv[1], sys.argv[2])
