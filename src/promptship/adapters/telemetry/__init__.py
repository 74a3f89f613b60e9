"""Telemetry: spool files -> exactly-once rollups -> counts; history as Parquet, and SQL over it; the quality gate.

DuckDB and Great Expectations are imported when they are first used: a gateway imports this package to write only.
"""

from promptship.adapters.telemetry.lake import Lake
from promptship.adapters.telemetry.measurements import SpoolMeasurements
from promptship.adapters.telemetry.query import History
from promptship.adapters.telemetry.spool import SpoolWriter

__all__ = ["History", "Lake", "SpoolMeasurements", "SpoolWriter"]
