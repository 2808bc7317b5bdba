# EVOLVE-BLOCK-START
HOW = "loops"


def run():
    return [0.5, 0.5, 0.5]
# EVOLVE-BLOCK-END
