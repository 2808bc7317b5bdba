# EVOLVE-BLOCK-START
def fit(x):
    return 0.5 * x


# EVOLVE-BLOCK-END


def run_curve(seed):
    return [fit(i / 7 + seed / 100) for i in range(8)]
