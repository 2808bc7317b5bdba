"""Generators of reasoning-gym, one at a time: the package as a whole wants more than wheels can give."""

import functools
import importlib
import inspect
import re
import sys
import types
from pathlib import Path

# Names of data sets by family: those that a program of the standard library can answer and whose
# scorers do not evaluate what they are given. `instances` looks for that again.
FAMILIES = {
    "algorithmic": """
        ab base_conversion binary_alternation caesar_cipher count_primes cryptarithm
        group_anagrams isomorphic_strings jugs letter_counting manipulate_matrix number_filtering
        palindrome_generation palindrome_partitioning pool_matrix ransom_note rotate_matrix
        rotten_oranges spell_backward string_manipulation string_splitting
        string_synthesis word_sequence_reversal word_sorting""",
    "arithmetic": """
        calendar_arithmetic chain_sum count_bits
        decimal_chain_sum dice fraction_simplification gcd lcm leg_counting number_format power_function
        prime_factorization products""",
    "games": "kakurasu maze mini_sudoku sokoban sudoku survo tower_of_hanoi",
    "graphs": "course_schedule family_relationships largest_island shortest_path",
    "logic": "circuit_logic knights_knaves self_reference",
}
EVALUATES = re.compile(r"\b(eval|exec|parse_expr|sympify|__import__|pickle)\b")
NAMES = tuple(sorted(name for names in FAMILIES.values() for name in names.split()))


@functools.cache
def _factory():
    """The package's registry, filled with our families only."""
    root = next(Path(folder) / "reasoning_gym" for folder in sys.path
                if (Path(folder) / "reasoning_gym" / "factory.py").is_file())
    for name in ("reasoning_gym", *(f"reasoning_gym.{family}" for family in FAMILIES)):
        # Without its __init__, which imports everything.
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    for family, names in FAMILIES.items():
        for name in names.split():
            importlib.import_module(f"reasoning_gym.{family}.{name}")
    return importlib.import_module("reasoning_gym.factory")


def instances(name, count, seed):
    """(data set, items): an item has a question, an answer and what the scorer needs."""
    made = _factory().create_dataset(name, size=count, seed=seed)
    if EVALUATES.search(inspect.getsource(sys.modules[type(made).__module__])):
        raise RuntimeError(f"the scorer of {name} may evaluate an answer: it can't be used")
    return made, [made[number] for number in range(count)]
