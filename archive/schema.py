"""Tables of the archive, as the newest migration leaves them. Portable SQL only."""

from functools import partial

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


_required = partial(Column, nullable=False)


def _table(name: str, about: str, *parts: SchemaItem) -> Table:
    """Define a table; its texts are also the text of the reference documentation."""
    return Table(name, metadata, *parts, info={"about": about})


meta = _table(
    "meta",
    "Facts about the whole run.",
    Column(
        "key",
        String(64),
        primary_key=True,
        doc="`seed`, or `evaluator`: the hash of the scorer that gave the scores",
    ),
    _required("value", Text, doc="as text"),
)

proposals = _table(
    "proposals",
    "One decision per row and its result: a variant, once it is scored or failed.",
    Column(
        "id", String(32), primary_key=True, doc="derived from the run seed and `number`"
    ),
    _required(
        "number", Integer, unique=True, doc="number of the decision; 0 is the seed"
    ),
    _required(
        "state",
        String(16),
        doc="`planned`, `replied`, `proposed`, `evaluating`; finally `scored`, `failed`, "
        "`rejected`, or `evaluated`: another evaluation of the parent, no child",
    ),
    _required("operator", String(64), doc="how the child was made"),
    _required("as_of_event", Integer, doc="id of the last event that the decision saw"),
    _required("created_at", Float, doc="seconds since 1970"),
    Column("tree", String(40), index=True, doc="SHA of its files in git"),
    Column("commit", String(40), doc="SHA; its parents are the parents' commits"),
    _required("note", Text, default="", doc="what the operator did, in one line"),
    Column("reason", String(64), doc="why it failed or was rejected, in one word"),
    _required("message", Text, default="", doc="the same in a sentence"),
    _required("log", Text, default="", doc="end of the candidate's output"),
    Column(
        "kept",
        String(16),
        doc="`best`: better than all before it; `improved`: better than its parents; `kept`",
    ),
    Column("novelty", Float, doc="mean distance to the ten nearest before it, 0 to 2"),
    Column("improvement", Float, doc="over the best of its parents"),
    _required(
        "quarantined",
        Boolean,
        default=False,
        doc="score not trusted: never the best, never a parent",
    ),
    Column("finished_at", Float, doc="seconds since 1970"),
    Column("finished_event", Integer, doc="event that finished it; gives the order"),
    _required("island", Integer, server_default="0", doc="island that it was made for"),
    Column("model", String(256), doc="model chosen to answer"),
    _required(
        "decision",
        Text,
        server_default="{}",
        doc="JSON: the rest of the decision, such as the prompt context",
    ),
    _required("measures", Text, server_default="{}", doc="JSON, name -> number"),
    _required(
        "kind",
        String(16),
        server_default="expand",
        doc="`expand`: make a child; `evaluate`: one more attempt at a case of the parent",
    ),
)

# Finds scored and trusted variants without reading the rows with their long texts.
Index(
    "proposals_standing",
    proposals.c.state,
    proposals.c.quarantined,
    proposals.c.id,
    proposals.c.number,
)

vectors = _table(
    "vectors",
    "Vectors for novelty.",
    Column("proposal", String(32), ForeignKey("proposals.id"), primary_key=True),
    _required("source", String(256), doc="`tokens`, or the embedding model"),
    _required("data", LargeBinary, doc="float16, little-endian"),
)

parents = _table(
    "parents",
    "Parents of each proposal.",
    Column("child", String(32), ForeignKey("proposals.id"), primary_key=True),
    Column("position", Integer, primary_key=True, doc="0 is the first parent"),
    _required("parent", String(32), ForeignKey("proposals.id"), index=True),
)

evaluations = _table(
    "evaluations",
    "Results of the scorer by variant, case and attempt; rows are added, never changed.",
    Column(
        "id", Integer, primary_key=True, autoincrement=True, doc="in order of writing"
    ),
    _required("proposal", String(32), ForeignKey("proposals.id")),
    _required("case_id", String(128), doc="the case's id in the task"),
    _required("split", String(16), doc="`search`, `select` or `heldout`"),
    _required("attempt", Integer, doc="from 0"),
    Column("score", Float, doc="NULL if the attempt failed"),
    _required("metrics", Text, doc="JSON"),
    _required("feedback", Text, doc="for the next prompt"),
    _required("log", Text, doc="end of the candidate's output"),
    Column("reason", String(64), doc="why it failed, in one word"),
    _required("message", Text, doc="the same in a sentence"),
    _required("seconds", Float, doc="wall-clock time"),
    _required("cpu_s", Float, doc="CPU time in seconds"),
    _required("peak_memory_bytes", Integer, doc="of the candidate's processes"),
    _required("cost_usd", Float, doc="cost of an agent's model calls"),
    _required("evaluator", String(64), doc="hash of the scorer"),
    _required("created_at", Float, doc="seconds since 1970"),
    UniqueConstraint("proposal", "case_id", "attempt", name="one_row_per_attempt"),
)
# Covers all columns that the search reads, so that it never reads the long texts.
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
    "Requests to models; a row is committed before the request leaves.",
    Column(
        "id", Integer, primary_key=True, autoincrement=True, doc="in order of writing"
    ),
    _required("proposal", String(32), ForeignKey("proposals.id"), index=True),
    _required(
        "step",
        Integer,
        doc="of notes their number, of an episode the agent's step, of a judgement 1 when the "
        "repair is judged; else 0",
    ),
    _required(
        "attempt", Integer, doc="from 0; a call that failed is sent again as a new row"
    ),
    _required("model", String(256), doc="the model called"),
    _required(
        "state",
        String(16),
        index=True,
        doc="`sent`, `replied`, `failed`, or `uncertain`: a crash hid the result; it stays "
        "charged",
    ),
    _required("request", LargeBinary, doc="JSON, zlib"),
    Column("reply", LargeBinary, doc="zlib"),
    _required("reserved_tokens", Integer, doc="maximum that it can use"),
    _required("reserved_usd", Float, doc="maximum that it can cost"),
    Column("finish_reason", String(32), doc="as the model reports it"),
    _required(
        "prompt_tokens",
        Integer,
        default=0,
        doc="as the server reports; else an estimate, which `error` marks",
    ),
    _required("completion_tokens", Integer, default=0, doc="as the server reports"),
    _required("cost_usd", Float, default=0.0, doc="by the model's prices"),
    Column(
        "error",
        Text,
        doc="why it failed; of a reply, what is odd: estimated tokens, a refusal",
    ),
    _required("sent_at", Float, doc="seconds since 1970"),
    _required("seconds", Float, default=0.0, doc="time to the reply"),
    _required(
        "purpose",
        String(16),
        server_default="propose",
        doc="`propose`, `repair`, `judge`, `notes`, `embed` or `episode`",
    ),
)

events = _table(
    "events",
    "Log of events, in order.",
    Column(
        "id",
        Integer,
        primary_key=True,
        autoincrement=True,
        doc="the clock of the archive",
    ),
    _required("at", Float, doc="seconds since 1970"),
    _required("kind", String(32), doc="`planned`, `scored`, `stopped`, ..."),
    Column("proposal", String(32), doc="proposal that it concerns"),
    _required("data", Text, doc="JSON"),
)

# The columns of the largest tables, as queries name them.
p, e, c = proposals.c, evaluations.c, calls.c
