"""Which model goes to which GPU."""


# EVOLVE-BLOCK-START
def place(gpu_count, models):
    """The most demanding first, each where the pressure is lowest then."""
    free, load = [80.0] * gpu_count, [0.0] * gpu_count
    chosen = [0] * len(models)
    for index in sorted(range(len(models)), key=lambda i: -models[i][1] / models[i][2]):
        size, rate, slo = models[index]
        fits = [gpu for gpu in range(gpu_count) if free[gpu] > size]
        gpu = min(fits, key=lambda g: load[g] / free[g])
        chosen[index] = gpu
        free[gpu] -= size
        load[gpu] += rate / slo
    return chosen
# EVOLVE-BLOCK-END
