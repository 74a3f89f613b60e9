"""Texts that a plan keeps: redacted, with their scores, in files that are deleted as a whole when their time is over."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from promptship.adapters.samples import private
from promptship.evals.online.reading import ODD, answer_of, question_of
from promptship.evals.online.redaction import Redaction
from promptship.evals.trial import said
from promptship.routing.sampling import Sample

HOUR_S: Final = 3600
_PREFIX: Final = "until-"


@dataclass(frozen=True, slots=True)
class Kept:
    """One directory, for its owner only. A file holds what is to be deleted in the same hour."""

    directory: Path
    redaction: Redaction

    def add(self, sample: Sample, *, passed: Mapping[str, bool | None], keep_for_s: float) -> None:
        """Keep a question and its answer. `passed`: by check; None: no score. Raises OSError."""
        try:
            messages, _ = question_of(sample)
            output = said(answer_of(sample))
        except ODD:
            return
        line = {
            "request": sample.id, "at_ms": sample.at_ms, "prompt": sample.prompt, "version": sample.version, "arm": sample.arm,
            "release": sample.release, "stage": sample.stage, "passed": dict(passed), "messages": self.redaction.data(messages),
            "answer": self.redaction.text(output), "variables": self.redaction.data(sample.variables),
        }  # fmt: skip
        hour = int((sample.at_ms / 1000 + keep_for_s) // HOUR_S) + 1
        private(self.directory)
        path = self.directory / f"{_PREFIX}{hour * HOUR_S}.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        finally:
            os.close(descriptor)

    def expire(self, now_s: float | None = None) -> int:
        """Delete the files whose time is over; returns how many."""
        now_s = time.time() if now_s is None else now_s
        gone = 0
        for path in self.directory.glob(f"{_PREFIX}*.jsonl"):
            until = path.stem.removeprefix(_PREFIX)
            if until.isdecimal() and int(until) <= now_s:
                path.unlink(missing_ok=True)
                gone += 1
        return gone
