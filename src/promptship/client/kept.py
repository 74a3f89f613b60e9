"""The last known routing table, on disk: who starts while nobody tells routes serves stable from it."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

from promptship.routing.table import RoutingTable

_LOG = logging.getLogger("promptship.routes")


class KeptRoutes:
    """One file, replaced atomically. Leases are never kept: whoever reads it later must not serve a candidate from it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def age_s(self) -> float:
        """Seconds since the file was written or confirmed, by the clock of the wall; 0: there is none."""
        try:
            return max(0.0, time.time() - self._path.stat().st_mtime)
        except OSError:
            return 0.0

    def load(self) -> RoutingTable | None:
        """The table with every lease lapsed; None: there is none, or it cannot be read (said in the log)."""
        try:
            return lapsed(RoutingTable.model_validate_json(self._path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _LOG.warning("%s cannot be read (%s): starting without it", self._path.name, type(error).__name__)
            return None

    def save(self, table: RoutingTable) -> bool:
        """Keep the table; a disk that will not is said in the log and costs nothing else (False)."""
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(beside, "wb", opener=_private) as file:
                file.write(lapsed(table).model_dump_json().encode())
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            _LOG.warning("%s cannot be written: %s", self._path.name, error.strerror)
            return False
        return True

    def confirm(self) -> None:
        """What the file holds is still what is served: its age begins anew."""
        try:
            os.utime(self._path)
        except OSError:
            return  # it says less about its age, and that is all


def _private(path: str, flags: int) -> int:
    """Prompts are nobody else's business on this machine."""
    return os.open(path, flags, 0o600)


def lapsed(table: RoutingTable) -> RoutingTable:
    """The table with every lease at its end."""
    routes = {
        name: route.model_copy(update={"split": route.split.model_copy(update={"lease_s": 0.0})})
        if route.split is not None
        else route
        for name, route in table.routes.items()
    }
    return table.model_copy(update={"routes": routes})
