"""What agents must not do: tripwires, a fixed safety set, canaries; promotion, and a run's audit."""

from evolve.agents.flags import Trip, trips_in
from evolve.safety.audit import Audited, audit_run
from evolve.safety.looks import record_look
from evolve.safety.promotion import Promotion, promote
from evolve.safety.safety_set import SAFETY_SET, SafetyCase

__all__ = [
    "SAFETY_SET",
    "Audited",
    "Promotion",
    "SafetyCase",
    "Trip",
    "audit_run",
    "promote",
    "record_look",
    "trips_in",
]
