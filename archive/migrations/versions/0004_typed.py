"""Schema 4: the kind of a decision and the purpose of a call, each in a column of its own.

Frozen: later schemas get files of their own.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE proposals RENAME COLUMN seen TO as_of_event")
    op.add_column(
        "proposals",
        sa.Column("kind", sa.String(16), nullable=False, server_default="expand"),
    )
    op.execute("UPDATE proposals SET kind = 'evaluate' WHERE operator = 'evaluate'")
    # `proposals_standing` begins with the same column.
    op.drop_index("ix_proposals_state", "proposals")

    op.execute("ALTER TABLE calls RENAME COLUMN round TO step")
    op.add_column(
        "calls",
        sa.Column("purpose", sa.String(16), nullable=False, server_default="propose"),
    )
    # A round was 0 for the answer, 1 for its repair, more for notes (their number), -1 for
    # a vector, -2 and -3 for a judgement of answer and repair, below -1000 for a step.
    op.execute(
        "UPDATE calls SET "
        "purpose = CASE WHEN step > 1 THEN 'notes' WHEN step = 1 THEN 'repair' "
        "WHEN step = 0 THEN 'propose' WHEN step = -1 THEN 'embed' "
        "WHEN step < -1000 THEN 'episode' ELSE 'judge' END, "
        "step = CASE WHEN step > 1 THEN step WHEN step < -1000 THEN -1000 - step "
        "WHEN step < -1 THEN -2 - step ELSE 0 END"
    )
