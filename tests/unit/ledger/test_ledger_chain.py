"""The formula of the chain is a promise: anybody can recompute it from an export, years later, in any language."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

from promptship.adapters.ledger import chain
from promptship.release.events import Fact, Stumbled
from tests.support.facts import requested

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
FACTS: list[Fact] = [requested(), Stumbled(step="lint", reason="Größe “x”")]
HASHES = [
    "2c94ec21561dc4b098fcbec106cd8843653d016e43dbfd4655b6ac8c35089892",
    "b3c2467ecc8ba32ff17be35cc1572615d721e322bde7deb8a7441bec65e5f71e",
]


def test_the_hashes_of_known_events_never_change() -> None:
    links = chain.extend("r-golden", -1, "", FACTS, actor="push:mira", at=AT)

    assert [link.hash for link in links] == HASHES


def test_a_link_is_the_sha256_of_plain_canonical_json() -> None:
    for link in chain.extend("r-golden", -1, "", FACTS, actor="Müller", at=AT):
        moment = "2026-03-01T12:00:00.123456+00:00"
        value = [link.release_id, link.seq, moment, link.actor, json.loads(link.fact), link.prev]
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
        assert link.hash == hashlib.sha256(text.encode("ascii")).hexdigest()


def test_the_same_moment_in_another_zone_is_the_same_link() -> None:
    there = AT.astimezone(timezone(timedelta(hours=-9, minutes=-30)))

    assert chain.extend("r", -1, "", FACTS, actor="a", at=there) == chain.extend(
        "r", -1, "", FACTS, actor="a", at=AT
    )


def test_the_head_over_chains_does_not_depend_on_the_order_they_were_read_in() -> None:
    heads = {"r-b": (3, "bb"), "r-a": (0, "aa")}

    assert chain.head_over(heads) == chain.head_over(dict(reversed(heads.items())))
    assert chain.head_over(heads) == hashlib.sha256(b'[["r-a",0,"aa"],["r-b",3,"bb"]]').hexdigest()
