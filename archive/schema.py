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
from sqlalchemy.schema import SchemaItem

from evolve.archive.revision import REVISION as REVISION

metadata = MetaData()


def _table(name: str, about: str, *parts: SchemaItem) -> Table:
    """What stands here of a table and its columns is the documentation's text, too."""
    return Table(name, metadata, *parts, info={"about": about})


meta = _table(
    "meta",
    "What holds for the whole run.",
    Column(
        "key",
        String(64),
        primary_key=True,
        doc="`seed`, or `evaluator`: the hash of the scorer that the scores are of",
    ),
    Column("value", Text, nullable=False, doc="as text"),
)

proposals = _table(
    "proposals",
    "One decision each, and what became of it: a variant, once it is scored or failed.",
    Column(
        "id", String(32), primary_key=True, doc="derived from the run seed and `number`"
    ),
    Column(
        "number",
        Integer,
        nullable=False,
        unique=True,
        doc="of the decision; 0 is the seed",
    ),
    Column(
        "state",
        String(16),
        nullable=False,
        doc="`planned`, `replied`, `proposed`, `evaluating`; in the end `scored`, `failed`, "
        "`rejected`, or `evaluated`: no child, one more evaluation",
    ),
    Column("operator", String(64), nullable=False, doc="how the child was made"),
    Column(
        "as_of_event",
        Integer,
        nullable=False,
        doc="the last event that the decision knew",
    ),
    Column("created_at", Float, nullable=False, doc="seconds since 1970"),
    Column("tree", String(40), index=True, doc="SHA of its files in git"),
    Column("commit", String(40), doc="SHA; its parents are those of the parents"),
    Column(
        "note", Text, nullable=False, default="", doc="what the operator did, in a line"
    ),
    Column("reason", String(64), doc="why it failed or was rejected, in a word"),
    Column("message", Text, nullable=False, default="", doc="the same in a sentence"),
    Column(
        "log",
        Text,
        nullable=False,
        default="",
        doc="the end of what the candidate printed",
    ),
    Column(
        "kept",
        String(16),
        doc="`best` of all before it, `improved` over its parents, or `kept`",
    ),
    Column("novelty", Float, doc="mean distance to the ten nearest before it, 0 to 1"),
    Column("improvement", Float, doc="over the best of its parents"),
    Column(
        "quarantined",
        Boolean,
        nullable=False,
        default=False,
        doc="not believed: never the best, never a parent",
    ),
    Column("finished_at", Float, doc="seconds since 1970"),
    Column("finished_event", Integer, doc="the order in which proposals ended"),
    Column(
        "island",
        Integer,
        nullable=False,
        server_default="0",
        doc="that it was made for",
    ),
    Column("model", String(256), doc="that was chosen to answer"),
    Column(
        "decision",
        Text,
        nullable=False,
        server_default="{}",
        doc="JSON: what else was decided, as the prompt context",
    ),
    Column(
        "measures",
        Text,
        nullable=False,
        server_default="{}",
        doc="JSON, name -> number",
    ),
    Column(
        "kind",
        String(16),
        nullable=False,
        server_default="expand",
        doc="`expand`: make a child; `evaluate`: one more attempt at a case of the parent",
    ),
)

# Which are scored, and which of these are trusted, without the texts beside it.
Index(
    "proposals_standing",
    proposals.c.state,
    proposals.c.quarantined,
    proposals.c.id,
    proposals.c.number,
)

vectors = _table(
    "vectors",
    "Of novelty.",
    Column("proposal", String(32), ForeignKey("proposals.id"), primary_key=True),
    Column(
        "source", String(256), nullable=False, doc="what made it: `tokens`, or a model"
    ),
    Column("data", LargeBinary, nullable=False, doc="float16, little-endian"),
)

parents = _table(
    "parents",
    "Who comes from whom.",
    Column("child", String(32), ForeignKey("proposals.id"), primary_key=True),
    Column("position", Integer, primary_key=True, doc="0 is the first parent"),
    Column(
        "parent", String(32), ForeignKey("proposals.id"), nullable=False, index=True
    ),
)

evaluations = _table(
    "evaluations",
    "What the scorer said of a variant on a case; rows are added, never changed.",
    Column(
        "id",
        Integer,
        primary_key=True,
        autoincrement=True,
        doc="in the order of writing",
    ),
    Column("proposal", String(32), ForeignKey("proposals.id"), nullable=False),
    Column("case_id", String(128), nullable=False, doc="the case's id in the task"),
    Column("split", String(16), nullable=False, doc="`search`, `select` or `heldout`"),
    Column("attempt", Integer, nullable=False, doc="from 0"),
    Column("score", Float, doc="none where it failed"),
    Column("metrics", Text, nullable=False, doc="JSON"),
    Column("feedback", Text, nullable=False, doc="for the next prompt"),
    Column("log", Text, nullable=False, doc="the end of what the candidate printed"),
    Column("reason", String(64), doc="why it failed, in a word"),
    Column("message", Text, nullable=False, doc="the same in a sentence"),
    Column("seconds", Float, nullable=False, doc="by the clock"),
    Column("cpu_s", Float, nullable=False, doc="seconds of the processor"),
    Column(
        "peak_memory_bytes", Integer, nullable=False, doc="of the candidate's processes"
    ),
    Column("cost_usd", Float, nullable=False, doc="of what an agent asked"),
    Column("evaluator", String(64), nullable=False, doc="hash of the scorer"),
    Column("created_at", Float, nullable=False, doc="seconds since 1970"),
    UniqueConstraint("proposal", "case_id", "attempt", name="one_row_per_attempt"),
)
# All that the search asks of a row, so that the texts beside it are never read for it.
Index(
    "evaluations_search",
    evaluations.c.split,
    evaluations.c.proposal,
    evaluations.c.case_id,
    evaluations.c.attempt,
    evaluations.c.score,
    evaluations.c.reason,
)

calls = _table(
    "calls",
    "Requests to models; a row is there before the request leaves.",
    Column(
        "id",
        Integer,
        primary_key=True,
        autoincrement=True,
        doc="in the order of writing",
    ),
    Column(
        "proposal", String(32), ForeignKey("proposals.id"), nullable=False, index=True
    ),
    Column(
        "step",
        Integer,
        nullable=False,
        doc="of notes their number, of an episode the agent's step, of a judgement 1 when the "
        "repair is judged; else 0",
    ),
    Column(
        "attempt",
        Integer,
        nullable=False,
        doc="from 0; a call that failed is sent again as a new row",
    ),
    Column("model", String(256), nullable=False, doc="who was asked"),
    Column(
        "state",
        String(16),
        nullable=False,
        index=True,
        doc="`sent`, `replied`, `failed`, or `uncertain`: a crash came between, and it stays "
        "charged",
    ),
    Column("request", LargeBinary, nullable=False, doc="JSON, zlib"),
    Column("reply", LargeBinary, doc="zlib"),
    Column("reserved_tokens", Integer, nullable=False, doc="the most that it can use"),
    Column("reserved_usd", Float, nullable=False, doc="the most that it can cost"),
    Column("finish_reason", String(32), doc="in the model's words"),
    Column(
        "prompt_tokens", Integer, nullable=False, default=0, doc="as the server counts"
    ),
    Column(
        "completion_tokens",
        Integer,
        nullable=False,
        default=0,
        doc="as the server counts",
    ),
    Column(
        "cost_usd", Float, nullable=False, default=0.0, doc="by the price of the model"
    ),
    Column("error", Text, doc="why it failed"),
    Column("sent_at", Float, nullable=False, doc="seconds since 1970"),
    Column("seconds", Float, nullable=False, default=0.0, doc="until the reply"),
    Column(
        "purpose",
        String(16),
        nullable=False,
        server_default="propose",
        doc="`propose`, `repair`, `judge`, `notes`, `embed` or `episode`",
    ),
)

events = _table(
    "events",
    "What happened, in order.",
    Column(
        "id",
        Integer,
        primary_key=True,
        autoincrement=True,
        doc="the clock of the archive",
    ),
    Column("at", Float, nullable=False, doc="seconds since 1970"),
    Column(
        "kind",
        String(32),
        nullable=False,
        doc="what happened: `planned`, `scored`, `stopped`, ...",
    ),
    Column("proposal", String(32), doc="whom it is about"),
    Column("data", Text, nullable=False, doc="JSON"),
)
