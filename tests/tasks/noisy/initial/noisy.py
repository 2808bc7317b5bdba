# EVOLVE-BLOCK-START
def value():
    low = 1.0
    high = 2.0
    scale = 1.5
    return low * scale + high
# EVOLVE-BLOCK-END
