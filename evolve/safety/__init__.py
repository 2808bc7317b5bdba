"""Safety of agents: flags, a fixed safety set, canaries, promotion, and audits."""

from evolve.agents.flags import flags_in
from evolve.safety.audit import audit_run
from evolve.safety.heldout_access import record_look
from evolve.safety.promotion import Allowance, Promotion, promote
from evolve.safety.safety_set import SAFETY_SET

__all__ = [
    "SAFETY_SET",
    "Allowance",
    "Promotion",
    "audit_run",
    "flags_in",
    "promote",
    "record_look",
]
