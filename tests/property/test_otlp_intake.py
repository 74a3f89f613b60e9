"""A span enters an experiment exactly when it carries a token that we signed, and then where the token says."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from promptship.routing.token import Claims, sign
from tests.support.gateway import AT, CANDIDATE, CANDIDATE_DIGEST, SECRET, STABLE_DIGEST, bench, table
from tests.support.otlp import JSON, export, span

AT_MS = int(AT.timestamp() * 1000)
WORDS = st.sampled_from(["candidate", "stable", "r-1", "r-2", "in", "0", ""])
VERSIONS = {"stable": STABLE_DIGEST, "candidate": CANDIDATE_DIGEST}


@settings(max_examples=60, deadline=None)
@given(
    arm=st.sampled_from(["stable", "candidate"]),
    secret=st.sampled_from([None, SECRET, b"somebody else's, as long as ours"]),
    cut=st.booleans(),
    says=st.dictionaries(
        st.sampled_from(
            [
                "promptship__arm",
                "promptship__release",
                "promptship__stage",
                "promptship__unit",
                "promptship__decision",
            ]
        ),
        WORDS | st.integers(0, 3),
    ),
)
def test_only_a_token_of_ours_leads_into_an_experiment(
    arm: Any, secret: bytes | None, cut: bool, says: dict[str, Any]
) -> None:
    claims = Claims(
        "0192f0c1-7c2a-7000-8000-000000000001", AT_MS, "support", VERSIONS[arm], arm, "r-1", 1, "ab" * 8
    )
    token = None if secret is None else sign(secret, claims)[: -1 if cut else None]

    async def lines() -> list[Any]:
        with tempfile.TemporaryDirectory() as place:
            gateway = bench(Path(place), routes=table(candidate=CANDIDATE))
            sent = span(promptship__feedback_token=token, gen_ai__prompt__version=VERSIONS[arm], **says)
            await gateway.ask("POST", "/v1/traces", export([sent]), headers=JSON)
            return list(gateway.spool.observations)

    written = asyncio.run(lines())
    is_ours = secret == SECRET and not cut
    assert len(written) == (1 if token is None or is_ours else 0)
    for line in written:
        inside = (line.release, line.stage, line.unit, line.decision) == ("r-1", 1, "ab" * 8, "in")
        outside = (line.release, line.stage, line.unit, line.decision) == (None, None, None, "pinned")
        assert (inside, outside) == (is_ours, not is_ours)
        assert (line.arm, line.version) == (arm, VERSIONS[arm])
