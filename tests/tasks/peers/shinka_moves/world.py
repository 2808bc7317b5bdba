from dataclasses import dataclass
from enum import Enum


class Move(Enum):
    LEFT = -1
    RIGHT = 1


@dataclass
class Step:
    move: Move
    length: float
