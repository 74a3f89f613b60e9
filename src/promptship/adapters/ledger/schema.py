"""Tables of the ledger, as `migrations/versions/0001_ledger.py` creates them (a test compares the two)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from promptship.adapters.database import Moment, metadata

releases = Table(
    "releases", metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),  # order of opening, whatever the clocks said
    Column("id", String, nullable=False, unique=True),
    Column("prompt", String, nullable=False),
    Column("commit", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("author", String, nullable=False),
    Column("phase", String, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("head_hash", String, nullable=False),
    Column("opened_at", Moment, nullable=False),
    Column("moved_at", Moment, nullable=False),
    Column("due_at", Moment),
    UniqueConstraint("prompt", "commit", "attempt"),
    Index(None, "phase"),
    Index(None, "due_at"),
)  # fmt: skip

events = Table(
    "events", metadata,
    Column("release_id", ForeignKey(releases.c.id), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("actor", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("fact", Text, nullable=False),
    Column("prev", String, nullable=False),
    Column("hash", String, nullable=False),
    Index(None, "release_id", "kind", "seq"),
)  # fmt: skip

claims = Table(
    "claims", metadata,
    Column("prompt", String, primary_key=True),
    Column("release_id", ForeignKey(releases.c.id), nullable=False),
)  # fmt: skip

leases = Table(
    "leases", metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("until", Moment, nullable=False),
)  # fmt: skip

versions = Table(
    "versions", metadata,
    Column("digest", String, primary_key=True),
    Column("commit", String, nullable=False),
    Column("content", Text, nullable=False),
)  # fmt: skip

routes = Table(
    "routes", metadata,
    Column("prompt", String, primary_key=True),
    Column("revision", BigInteger, nullable=False, unique=True),
    Column("stable", ForeignKey(versions.c.digest)),
    Column("stable_commit", String, nullable=False),
    Column("release_id", ForeignKey(releases.c.id)),
    Column("candidate", ForeignKey(versions.c.digest)),
    Column("stage", Integer),
    Column("share", Float, nullable=False),
    Column("salt", String, nullable=False),
    Column("lease_until", Moment),
    Column("policy", Text),  # of the experiment, as JSON
    Column("killed", String),  # digest that the kill switch serves, whatever the rest says
    Column("safe", String),  # digest that it is to serve
    Column("held", String),  # digest of the version before, in a holdback
    Column("experiment", String),  # whose arms these are; then there is no release, candidate or stage
    Column("arms", Text),  # as JSON
)  # fmt: skip

route_history = Table(
    "route_history", metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("prompt", String, nullable=False),
    Column("at", Moment, nullable=False),
    Column("stable", String),
    Column("previous", String),
    Column("candidate", String),
    Column("share", Float, nullable=False),
    Column("release_id", String),
    Column("actor", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("policy", Text),
    Column("killed", String),
    Column("safe", String),
    Column("prev", String),
    Column("hash", String),  # `route_chain`; NULL before there was one
    Column("held", String),
    Column("experiment", String),
    Column("arms", Text),
    Index(None, "prompt", "revision"),
)  # fmt: skip

# One row. Taking the next revision locks it until the transaction ends, so revisions become visible in their order:
# a gateway that has seen revision 8 can never be shown a different 8, or a 7, afterwards.
route_revision = Table(
    "route_revision", metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
)  # fmt: skip

journal = Table(
    "journal", metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),  # order of writing, over all topics
    Column("topic", String, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("actor", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("data", Text, nullable=False),
    Column("prev", String, nullable=False),
    Column("hash", String, nullable=False),  # `journal_chain`
    UniqueConstraint("topic", "seq"),
)  # fmt: skip

sinks = Table(
    "sinks", metadata,
    Column("name", String, primary_key=True),
    Column("since", Moment, nullable=False),
)  # fmt: skip

marks = Table(
    "marks", metadata,
    Column("sink", String, primary_key=True),
    Column("release_id", ForeignKey(releases.c.id), primary_key=True),
    Column("seq", Integer, nullable=False),  # of the last event that the sink was told of
    Column("tries", Integer, nullable=False),
    Column("due_at", Moment),
    Column("error", Text),
)  # fmt: skip

dead_letters = Table(
    "dead_letters", metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("sink", String, nullable=False),
    Column("release_id", ForeignKey(releases.c.id), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("error", Text, nullable=False),
    UniqueConstraint("sink", "release_id", "seq"),
)  # fmt: skip
