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
    LargeBinary,
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
    Column("retired_ms", BigInteger),  # when its lines went into the history; the file may be deleted
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
    Column("cost_known", BigInteger, nullable=False, server_default="0"),
    Column("cost_usd_sum", Float, nullable=False, server_default="0"),
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
    "cost_known",
    "cost_usd_sum",
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

value_bins = Table(
    "value_bins",
    metadata,
    Column("slot", Integer, nullable=False),
    Column("metric", String, nullable=False),  # cost_usd, tokens_out, score:<name>
    Column("bin", Integer, nullable=False),  # `promptship.canary.scale`
    Column("requests", BigInteger, nullable=False),
    PrimaryKeyConstraint("slot", "metric", "bin"),
    sqlite_with_rowid=False,
)

checks = Table(
    "checks",
    metadata,
    Column("slot", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("scored", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    PrimaryKeyConstraint("slot", "name"),
    sqlite_with_rowid=False,
)

unit_slots = Table(
    "unit_slots",
    metadata,
    Column("slot", Integer, primary_key=True),
    Column("release_id", String, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("arm", String, nullable=False),
    Column("seq", BigInteger, nullable=False),  # of the newest batch
    Column("assigned", BigInteger, nullable=False),  # different units that had a request
    Column("sums", Text, nullable=False),  # JSON by rate metric: units, n, s, n^2, s^2, n*s
    Column("closed", Boolean, nullable=False),  # nothing more is counted: the batches have been deleted
    Column("touched_ms", BigInteger, nullable=False),
    UniqueConstraint("release_id", "stage", "arm", name="uq_unit_slots_key"),
)

unit_batches = Table(
    "unit_batches",
    metadata,
    Column("slot", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),  # 0: holds everything up to `seq`
    Column("level", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("slot", "seq"),
)

history_files = Table(
    "history_files",
    metadata,
    # The only list of what belongs to the history: a file that is not in it does not count, whatever lies beside it.
    Column("path", String, primary_key=True),  # below the directory of the history
    Column(
        "stream", String, nullable=False
    ),  # empty: replaced by a merged file, kept a while for running queries
    Column("day", String, nullable=False),  # of the records, UTC, ISO
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("made_ms", BigInteger, nullable=False),
    Index("ix_history_files_stream_day", "stream", "day"),
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
    Column("scores", BigInteger, nullable=False, server_default="0"),
    Column("duplicates", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
)


def unix_ms(at: datetime) -> int:
    """Whole milliseconds since 1970, rounded down."""
    return (at - EPOCH) // timedelta(milliseconds=1)
