"""Whether a request really comes from Slack, and lately."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from slack_sdk.signature import Clock as VerifierClock
from slack_sdk.signature import SignatureVerifier

from promptship.errors import Refused

AGE_S_MAX: Final = 300


def verify_slack(secret: str, timestamp: str, body: bytes, signature: str, now: datetime) -> None:
    """Return when Slack signed `body` with our signing secret within the last five minutes. Raises Refused.

    Freshness is judged here by `now`, not by slack_sdk, which reads the machine's clock; its verifier also raises ValueError
    for a timestamp that is not a number.
    """
    if not secret.strip():
        raise Refused("Slack's signing secret is not configured here")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp, re.ASCII):
        raise Refused("Slack's timestamp is missing or not a number")
    if abs(now.timestamp() - int(timestamp)) > AGE_S_MAX:
        raise Refused(f"the request is older than {AGE_S_MAX} s")
    verifier = SignatureVerifier(secret, clock=_Clock(now))
    try:
        genuine = verifier.is_valid(body, timestamp, signature)
    except (ValueError, TypeError):  # a body that is not UTF-8, a signature that is not ASCII
        genuine = False
    if not genuine:
        raise Refused("the request was not signed with Slack's signing secret")


class _Clock(VerifierClock):
    """The time of the request, in the form slack_sdk wants."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> float:
        return self._now.timestamp()
