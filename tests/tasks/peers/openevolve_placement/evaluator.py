"""Objects of the evaluator's go in and must come back; a callback; an object of the program's; stages."""
import importlib.util
from dataclasses import dataclass

import numpy as np
from openevolve.evaluation_result import EvaluationResult


@dataclass
class Box:
    name: str
    weight: int


def _load(path):
    spec = importlib.util.spec_from_file_location("program", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


def _score(program, count):
    draw = np.random.RandomState(5)
    boxes = [Box(f"box {i}", int(draw.randint(1, 40))) for i in range(count)]
    bins = program.place(boxes, 3, lambda box: -box.weight)
    placed = [box for content in bins.values() for box in content]
    if sorted(map(id, placed)) != sorted(map(id, boxes)):
        raise ValueError("not every box is placed, once")
    loads = [sum(box.weight for box in content) for content in bins.values()]
    return (sum(loads) / 3) / max(loads)


def evaluate_stage1(path):
    program = _load(path)
    counter = program.Counter(3)
    counter.up(2)
    return {"combined_score": _score(program, 4), "counted": counter.up(4) / 9}


def evaluate_stage2(path):
    result = evaluate(path)
    return EvaluationResult({**result, "stage": 2.0}, {"note": "both stages ran"})


def evaluate(path):
    try:
        return {"combined_score": float(np.mean([_score(_load(path), count) for count in (9, 20)]))}
    except Exception as error:
        return {"combined_score": 0.0, "error": str(error)}
