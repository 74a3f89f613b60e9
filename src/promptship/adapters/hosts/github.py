"""Pull requests of GitHub: check runs (or commit statuses, where a token may not write checks), and one comment."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import batched as _batched  # type: ignore[attr-defined,unused-ignore]
