"""Schema 2: the rest of each decision, and the event that finished a proposal.

Frozen: each later schema has a separate file.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("proposals", sa.Column("finished_event", sa.Integer))
    op.add_column(
        "proposals", sa.Column("island", sa.Integer, nullable=False, server_default="0")
    )
    op.add_column("proposals", sa.Column("model", sa.String(256)))
    op.add_column(
        "proposals", sa.Column("decision", sa.Text, nullable=False, server_default="{}")
    )
    op.execute(
        "UPDATE proposals SET finished_event = (SELECT MAX(events.id) FROM events WHERE "
        "events.proposal = proposals.id AND events.kind = proposals.state) "
        "WHERE state IN ('scored', 'failed', 'rejected')"
    )
