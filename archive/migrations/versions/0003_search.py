"""Schema 3: measures and novelty vectors of variants, and covering indices for scores.

Frozen: each later schema has a separate file.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "proposals", sa.Column("measures", sa.Text, nullable=False, server_default="{}")
    )
    op.create_table(
        "vectors",
        sa.Column(
            "proposal", sa.String(32), sa.ForeignKey("proposals.id"), primary_key=True
        ),
        sa.Column("source", sa.String(256), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.drop_index("evaluations_scores", "evaluations")
    op.create_index(
        "evaluations_search",
        "evaluations",
        ["split", "proposal", "case_id", "attempt", "score", "reason"],
    )
    op.create_index(
        "proposals_standing", "proposals", ["state", "quarantined", "id", "number"]
    )
