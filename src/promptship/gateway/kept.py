"""The last known routing table, on disk: a gateway that starts while the control plane is down serves stable from it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from promptship.routing.table import RoutingTable

_LOG = logging.getLogger("promptship.gateway")


class KeptRoutes:
    """One file, replaced atomically. Leases are never kept: whoever reads it later must not serve a candidate from it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> RoutingTable | None:
        """The table with every lease lapsed; None: there is none, or it cannot be read (said in the log)."""
        try:
            return _lapsed(RoutingTable.model_validate_json(self._path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _LOG.warning("%s cannot be read (%s): starting without it", self._path.name, type(error).__name__)
            return None

    def save(self, table: RoutingTable) -> None:
        """Keep the table; a disk that will not is said in the log and costs nothing else."""
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(_lapsed(table).model_dump_json().encode())
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            _LOG.warning("%s cannot be written: %s", self._path.name, error.strerror)


def _lapsed(table: RoutingTable) -> RoutingTable:
    routes = {
        name: route.model_copy(update={"split": route.split.model_copy(update={"lease_s": 0.0})})
        if route.split is not None
        else route
        for name, route in table.routes.items()
    }
    return table.model_copy(update={"routes": routes})
