"""Makespan of a schedule against the proved optimum, verified operation by operation."""

import json
from pathlib import Path

INSTANCES = json.loads(Path(__file__).with_name("instances.json").read_text())


def evaluate(candidate, case):
    jobs, optimum = INSTANCES[case.id]["jobs"], INSTANCES[case.id]["optimum"]
    starts = read(candidate, candidate.call("schedule", jobs), jobs)
    verify(candidate, jobs, starts)
    end = max(times[-1] + job[-1][1] for times, job in zip(starts, jobs))
    return {"score": optimum / end, "metrics": {"makespan": end},
            "feedback": f"{case.id}: everything is done at {end}; the optimum is {optimum}"}


def read(candidate, answer, jobs):
    """Start times as plain integers, as many as there are operations."""
    rows = answer.tolist() if hasattr(answer, "tolist") else answer
    if not isinstance(rows, (list, tuple)) or len(rows) != len(jobs):
        candidate.fail(f"schedule must return the start times of {len(jobs)} jobs")
    starts = []
    for number, (row, job) in enumerate(zip(rows, jobs)):
        row = row.tolist() if hasattr(row, "tolist") else row
        if not isinstance(row, (list, tuple)) or len(row) != len(job) or not all(
                type(time) is int and time >= 0 for time in row):
            candidate.fail(f"job {number} needs {len(job)} start times, integers from 0")
        starts.append(list(row))
    return starts


def verify(candidate, jobs, starts):
    """The order within each job, and one operation at a time on each machine."""
    machines = {}
    for number, (job, times) in enumerate(zip(jobs, starts)):
        free = 0
        for step, ((machine, duration), start) in enumerate(zip(job, times)):
            if start < free:
                candidate.fail(f"job {number} starts step {step} at {start}, before {free}")
            free = start + duration
            machines.setdefault(machine, []).append((start, free, number))
    for machine, busy in machines.items():
        busy.sort()
        for (_, end, first), (start, _, second) in zip(busy, busy[1:]):
            if start < end:
                candidate.fail(f"machine {machine} does jobs {first} and {second} at once, at {start}")
