"""Telemetry: spool files -> exactly-once rollups (DuckDB, SQL) -> counts, and the quality gate (Great Expectations).

DuckDB and Great Expectations are imported when they are first used: a gateway imports this package to write only.
"""

from promptship.adapters.telemetry.measurements import SpoolMeasurements
from promptship.adapters.telemetry.spool import SpoolWriter

__all__ = ["SpoolMeasurements", "SpoolWriter"]
