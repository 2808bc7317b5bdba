"""Schema 1: proposals, parents, evaluations, calls, events.

Frozen: each later schema has a separate file. A test compares the result with
`evolve.archive.schema`.
"""

from __future__ import annotations

from functools import partial

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_required = partial(sa.Column, nullable=False)


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.String(64), primary_key=True),
        _required("value", sa.Text),
    )
    op.create_table(
        "proposals",
        sa.Column("id", sa.String(32), primary_key=True),
        _required("number", sa.Integer, unique=True),
        _required("state", sa.String(16), index=True),
        _required("operator", sa.String(64)),
        _required("seen", sa.Integer),
        _required("created_at", sa.Float),
        sa.Column("tree", sa.String(40), index=True),
        sa.Column("commit", sa.String(40)),
        _required("note", sa.Text),
        sa.Column("reason", sa.String(64)),
        _required("message", sa.Text),
        _required("log", sa.Text),
        sa.Column("kept", sa.String(16)),
        sa.Column("novelty", sa.Float),
        sa.Column("improvement", sa.Float),
        _required("quarantined", sa.Boolean),
        sa.Column("finished_at", sa.Float),
    )
    op.create_table(
        "parents",
        sa.Column(
            "child", sa.String(32), sa.ForeignKey("proposals.id"), primary_key=True
        ),
        sa.Column("position", sa.Integer, primary_key=True),
        _required("parent", sa.String(32), sa.ForeignKey("proposals.id"), index=True),
    )
    op.create_table(
        "evaluations",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        _required("proposal", sa.String(32), sa.ForeignKey("proposals.id")),
        _required("case_id", sa.String(128)),
        _required("split", sa.String(16)),
        _required("attempt", sa.Integer),
        sa.Column("score", sa.Float),
        _required("metrics", sa.Text),
        _required("feedback", sa.Text),
        _required("log", sa.Text),
        sa.Column("reason", sa.String(64)),
        _required("message", sa.Text),
        _required("seconds", sa.Float),
        _required("cpu_s", sa.Float),
        _required("peak_memory_bytes", sa.Integer),
        _required("cost_usd", sa.Float),
        _required("evaluator", sa.String(64)),
        _required("created_at", sa.Float),
        sa.UniqueConstraint(
            "proposal", "case_id", "attempt", name="one_row_per_attempt"
        ),
    )
    op.create_index("evaluations_scores", "evaluations", ["split", "proposal", "score"])
    op.create_table(
        "calls",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        _required("proposal", sa.String(32), sa.ForeignKey("proposals.id"), index=True),
        _required("round", sa.Integer),
        _required("attempt", sa.Integer),
        _required("model", sa.String(256)),
        _required("state", sa.String(16), index=True),
        _required("request", sa.LargeBinary),
        sa.Column("reply", sa.LargeBinary),
        _required("reserved_tokens", sa.Integer),
        _required("reserved_usd", sa.Float),
        sa.Column("finish_reason", sa.String(32)),
        _required("prompt_tokens", sa.Integer),
        _required("completion_tokens", sa.Integer),
        _required("cost_usd", sa.Float),
        sa.Column("error", sa.Text),
        _required("sent_at", sa.Float),
        _required("seconds", sa.Float),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        _required("at", sa.Float),
        _required("kind", sa.String(32)),
        sa.Column("proposal", sa.String(32)),
        _required("data", sa.Text),
    )
