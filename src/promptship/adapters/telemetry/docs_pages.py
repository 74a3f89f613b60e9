"""The quality gate's Data Docs, kept as files: the latest page of each stage, old ones removed."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

_log = logging.getLogger(__name__)


def keep(directory: Path, release_id: str, stage: int, pages: Mapping[str, str]) -> None:
    """Write the pages of one examination over those of the one before. Nothing here may keep a look from its verdict."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, page in pages.items():
            target = directory / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', release_id)}-stage-{stage}-{name}.html"
            draft = directory / f".{uuid4().hex}.tmp"
            draft.write_text(page, encoding="utf-8")
            draft.replace(target)
    except OSError as error:
        _log.warning("the telemetry gate's page could not be written: %s", error.strerror or error)


def remove_old(directory: Path, before: float) -> int:
    """Delete pages that were last written before a time (seconds since 1970); returns how many."""
    try:
        old = [
            entry.path
            for entry in os.scandir(directory)
            if entry.is_file() and entry.stat().st_mtime < before
        ]
    except FileNotFoundError:
        return 0
    for path in old:
        Path(path).unlink(missing_ok=True)
    return len(old)
