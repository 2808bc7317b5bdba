"""Schema 1: proposals, parents, evaluations, calls, events.

Frozen: each later schema has a separate file. A test compares the result with
`evolve.archive.schema`.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "proposals",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False, unique=True),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("operator", sa.String(64), nullable=False),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("tree", sa.String(40), index=True),
        sa.Column("commit", sa.String(40)),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("kept", sa.String(16)),
        sa.Column("novelty", sa.Float),
        sa.Column("improvement", sa.Float),
        sa.Column("quarantined", sa.Boolean, nullable=False),
        sa.Column("finished_at", sa.Float),
    )
    op.create_table(
        "parents",
        sa.Column(
            "child", sa.String(32), sa.ForeignKey("proposals.id"), primary_key=True
        ),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column(
            "parent",
            sa.String(32),
            sa.ForeignKey("proposals.id"),
            nullable=False,
            index=True,
        ),
    )
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column(
            "proposal", sa.String(32), sa.ForeignKey("proposals.id"), nullable=False
        ),
        sa.Column("case_id", sa.String(128), nullable=False),
        sa.Column("split", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("feedback", sa.Text, nullable=False),
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("cpu_s", sa.Float, nullable=False),
        sa.Column("peak_memory_bytes", sa.Integer, nullable=False),
        sa.Column("cost_usd", sa.Float, nullable=False),
        sa.Column("evaluator", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.UniqueConstraint(
            "proposal", "case_id", "attempt", name="one_row_per_attempt"
        ),
    )
    op.create_index("evaluations_scores", "evaluations", ["split", "proposal", "score"])
    op.create_table(
        "calls",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column(
            "proposal",
            sa.String(32),
            sa.ForeignKey("proposals.id"),
            nullable=False,
            index=True,
        ),
        sa.Column("round", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("reply", sa.LargeBinary),
        sa.Column("reserved_tokens", sa.Integer, nullable=False),
        sa.Column("reserved_usd", sa.Float, nullable=False),
        sa.Column("finish_reason", sa.String(32)),
        sa.Column("prompt_tokens", sa.Integer, nullable=False),
        sa.Column("completion_tokens", sa.Integer, nullable=False),
        sa.Column("cost_usd", sa.Float, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("sent_at", sa.Float, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("proposal", sa.String(32)),
        sa.Column("data", sa.Text, nullable=False),
    )


def downgrade() -> None:
    for table in ("events", "calls", "evaluations", "parents", "proposals", "meta"):
        op.drop_table(table)
