"""Start times of operations."""


# EVOLVE-BLOCK-START
def schedule(jobs):
    """Step by step through all jobs, each operation as early as its job and its machine allow."""
    machine_free, job_free = {}, [0] * len(jobs)
    starts = [[] for _ in jobs]
    for step in range(max(map(len, jobs))):
        for number, job in enumerate(jobs):
            if step < len(job):
                machine, duration = job[step]
                start = max(job_free[number], machine_free.get(machine, 0))
                starts[number].append(start)
                job_free[number] = machine_free[machine] = start + duration
    return starts
# EVOLVE-BLOCK-END
