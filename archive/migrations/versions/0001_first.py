"""Schema 1: proposals, parents, evaluations, calls, events.

The oldest databases have it; new ones are created at the newest schema.
"""

from __future__ import annotations

revision = "0001"
down_revision = None
