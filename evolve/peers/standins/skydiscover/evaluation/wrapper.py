"""Evaluators of the container protocol call `run` when they are started as programs; we import them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any


def run(evaluate: Callable[[str], Any]) -> None:
    """Print one JSON object with the metrics."""
    sys.stdout.write(json.dumps(evaluate(sys.argv[1]), default=str) + "\n")
