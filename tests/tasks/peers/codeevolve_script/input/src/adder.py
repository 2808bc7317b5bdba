# EVOLVE-BLOCK-START
def add(values):
    return sum(values[:-1])
# EVOLVE-BLOCK-END
