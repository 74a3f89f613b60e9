"""Tables of the telemetry: how far each spool file was read, the rollups, feedback, and what had to be put aside.

Outside a release `release_id` is empty and `stage` is -1, because keys cannot be NULL. Times are Unix milliseconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from promptship.adapters.database import EPOCH, metadata

NO_RELEASE: Final = ""
NO_STAGE: Final = -1
TOTAL_MS: Final = 2**62
"""Start and end of the one bucket per stage, arm and version that holds everything since the stage began. A look takes it and
subtracts the few newest buckets that are not ripe, so that its cost does not grow with the length of a stage."""

# Ids are compared and ordered byte by byte in every database.
_ID = String().with_variant(String(collation="C"), "postgresql")

spool_files = Table(
    "spool_files",
    metadata,
    Column("name", String, primary_key=True),  # `observations/<writer>-<seq>.jsonl`
    Column("read_bytes", BigInteger, nullable=False),
    Column("done", Boolean, nullable=False),  # sealed and read to its end: never looked at again
)

seen_requests = Table(
    "seen_requests",
    metadata,
    # The hour comes first so that old ids leave in one range; a replayed line has the time it had.
    Column("hour", BigInteger, nullable=False),
    Column("id", _ID, nullable=False),
    PrimaryKeyConstraint("hour", "id"),
    sqlite_with_rowid=False,
)

traffic = Table(
    "traffic",
    metadata,
    Column("slot", Integer, primary_key=True),  # short name of the key, used by latency_bins
    Column("release_id", String, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("arm", String, nullable=False),
    Column("version", String, nullable=False),
    Column("prompt", String, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column(
        "end_ms", BigInteger, nullable=False
    ),  # kept, because the width of a bucket is a setting and may change
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("refusal_known", BigInteger, nullable=False),
    Column("refusals", BigInteger, nullable=False),
    Column("latency_ms_sum", Float, nullable=False),
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
    UniqueConstraint(
        "release_id", "stage", "arm", "version", "prompt", "start_ms", "end_ms", name="uq_traffic_key"
    ),
    Index("ix_traffic_version_start_ms", "version", "start_ms"),
    Index("ix_traffic_release_id_stage_end_ms", "release_id", "stage", "end_ms"),
)
TRAFFIC_KEY: Final = ("release_id", "stage", "arm", "version", "prompt", "start_ms", "end_ms")
TRAFFIC_SUMS: Final = (
    "requests",
    "errors",
    "refusal_known",
    "refusals",
    "latency_ms_sum",
    "tokens_in",
    "tokens_out",
)

latency_bins = Table(
    "latency_bins",
    metadata,
    Column("slot", Integer, nullable=False),
    Column("bin", Integer, nullable=False),  # floor(16 * log2(max(ms, 1)))
    Column("requests", BigInteger, nullable=False),
    PrimaryKeyConstraint("slot", "bin"),
    sqlite_with_rowid=False,
)

feedback = Table(
    "feedback",
    metadata,
    # Every statement is kept, not only the last one: what counted within a maturity window must not change when somebody
    # corrects himself after it.
    Column("request_id", _ID, nullable=False),
    Column("kind", String, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("id", _ID, nullable=False),
    Column("value", Boolean, nullable=False),
    Column("request_at_ms", BigInteger, nullable=False),
    Column("start_ms", BigInteger, nullable=False),  # bucket of the request, so that counting needs no join
    Column("end_ms", BigInteger, nullable=False),
    Column("prompt", String, nullable=False),
    Column("version", String, nullable=False),
    Column("arm", String, nullable=False),
    Column("release_id", String, nullable=False),
    Column("stage", Integer, nullable=False),
    PrimaryKeyConstraint("request_id", "kind", "at_ms", "id"),
    Index("ix_feedback_release_id_stage_kind", "release_id", "stage", "kind"),
    Index("ix_feedback_version_kind_start_ms", "version", "kind", "start_ms"),
)

feedback_kinds = Table(
    "feedback_kinds",
    metadata,
    Column("prompt", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("first_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("prompt", "kind"),
)

quarantined_lines = Table(
    "quarantined_lines",
    metadata,
    # Never the content: a line that is not a record may hold anything.
    Column("file", String, nullable=False),
    Column("start_byte", BigInteger, nullable=False),
    Column("length_bytes", BigInteger, nullable=False),
    Column("sha256", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("found_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("file", "start_byte"),
)

intake_minutes = Table(
    "intake_minutes",
    metadata,
    Column("minute_ms", BigInteger, primary_key=True, autoincrement=False),  # of the tick, not of the records
    Column("observations", BigInteger, nullable=False),
    Column("feedback", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
)


def unix_ms(at: datetime) -> int:
    """Whole milliseconds since 1970, rounded down."""
    return (at - EPOCH) // timedelta(milliseconds=1)
