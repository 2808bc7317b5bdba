"""Tables of the archive, as the newest migration leaves them. Portable SQL only."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

REVISION = "0003"  # the newest migration

metadata = MetaData()

meta = Table(
    "meta", metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

proposals = Table(
    "proposals", metadata,
    Column("id", String(32), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("state", String(16), nullable=False, index=True),
    Column("operator", String(64), nullable=False),
    Column("seen", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("tree", String(40), index=True),
    Column("commit", String(40)),
    Column("note", Text, nullable=False, default=""),
    Column("reason", String(64)),
    Column("message", Text, nullable=False, default=""),
    Column("log", Text, nullable=False, default=""),
    Column("kept", String(16)),
    Column("novelty", Float),
    Column("improvement", Float),
    Column("quarantined", Boolean, nullable=False, default=False),
    Column("finished_at", Float),
    Column("finished_event", Integer),
    Column("island", Integer, nullable=False, server_default="0"),
    Column("model", String(256)),
    Column("decision", Text, nullable=False, server_default="{}"),  # JSON
    Column("measures", Text, nullable=False, server_default="{}"),  # JSON, name -> number
)

# Which are scored, and which of these are trusted, without the texts beside it.
Index("proposals_standing", proposals.c.state, proposals.c.quarantined, proposals.c.id,
      proposals.c.number)

vectors = Table(
    "vectors", metadata,
    Column("proposal", String(32), ForeignKey("proposals.id"), primary_key=True),
    Column("source", String(256), nullable=False),  # what made it: "tokens", or a model's name
    Column("data", LargeBinary, nullable=False),  # float16, little-endian
)

parents = Table(
    "parents", metadata,
    Column("child", String(32), ForeignKey("proposals.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("parent", String(32), ForeignKey("proposals.id"), nullable=False, index=True),
)

evaluations = Table(
    "evaluations", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("proposal", String(32), ForeignKey("proposals.id"), nullable=False),
    Column("case_id", String(128), nullable=False),
    Column("split", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("score", Float),
    Column("metrics", Text, nullable=False),
    Column("feedback", Text, nullable=False),
    Column("log", Text, nullable=False),
    Column("reason", String(64)),
    Column("message", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("cpu_s", Float, nullable=False),
    Column("peak_memory_bytes", Integer, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("evaluator", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("proposal", "case_id", "attempt", name="one_row_per_attempt"),
)
# All that the search asks of a row, so that the texts beside it are never read for it.
Index("evaluations_search", evaluations.c.split, evaluations.c.proposal, evaluations.c.case_id,
      evaluations.c.attempt, evaluations.c.score, evaluations.c.reason)

calls = Table(
    "calls", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("proposal", String(32), ForeignKey("proposals.id"), nullable=False, index=True),
    Column("round", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("model", String(256), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("request", LargeBinary, nullable=False),  # JSON, zlib
    Column("reply", LargeBinary),  # text, zlib
    Column("reserved_tokens", Integer, nullable=False),
    Column("reserved_usd", Float, nullable=False),
    Column("finish_reason", String(32)),
    Column("prompt_tokens", Integer, nullable=False, default=0),
    Column("completion_tokens", Integer, nullable=False, default=0),
    Column("cost_usd", Float, nullable=False, default=0.0),
    Column("error", Text),
    Column("sent_at", Float, nullable=False),
    Column("seconds", Float, nullable=False, default=0.0),
)

events = Table(
    "events", metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("proposal", String(32)),
    Column("data", Text, nullable=False),
)
