"""A prompt as an application holds it: decides per unit, renders, always by the newest routes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from promptship.client.call import PromptCall, observation
from promptship.client.live import Known, LiveTable
from promptship.client.outbox import Outbox
from promptship.errors import InvalidVariables, NotFound, PromptshipError
from promptship.prompts.model import Prompt
from promptship.prompts.render import Rendered, declared, render
from promptship.release.policy import APPLICATION, NAME_PATTERN
from promptship.routing.choice import UNIT_CHARACTERS_MAX, Choice, Unserved, choose
from promptship.routing.eligibility import NOTHING, Attributes, Decision
from promptship.routing.request_id import uuid7

if TYPE_CHECKING:
    from promptship.client.client import Client

_NAME: Final = re.compile(NAME_PATTERN)


class PromptHandle:
    """What `Client.get` gives. It may be kept for as long as the client is open; it is safe in any thread."""

    def __init__(
        self,
        client: Client,
        name: str,
        pin: str,
        *,
        live: LiveTable,
        outbox: Outbox,
        secret: bytes,
        application: Callable[[], str] = lambda: "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client  # open as long as somebody holds a prompt of it
        self._live = live
        self._outbox = outbox
        self._secret = secret
        self._application = application
        self._monotonic = monotonic
        self.name = name
        self.pin = pin

    def choose(self, unit: str = "", attributes: Attributes = NOTHING) -> Choice:
        """Which version serves this unit now: what the gateway would choose, with the same routes.

        Args:
            unit: who is randomised, such as a user's id; empty: nobody, and stable serves.
            attributes: what is known of this request, for the policy of a canary, such as `{"minor": False}`: texts, numbers,
                true and false by name. Looked at here, and neither kept nor sent.

        Raises:
            NotFound: the prompt was never released, or the pinned version is not served now.
            InvalidVariables: the unit is no text of at most 512 characters; attributes are not of that kind.
        """
        return self._choose(self._live.known, unit, attributes)

    def render(
        self,
        variables: Mapping[str, Any] | None = None,
        *,
        unit: str = "",
        attributes: Attributes = NOTHING,
    ) -> PromptCall:
        """The prompt for this unit and these variables, ready to be sent to its model. `unit`, `attributes`: as `choose`.

        Raises:
            NotFound: as `choose`.
            InvalidVariables: as `choose`; variables are missing, unknown or of the wrong type.
            PromptshipError: this version cannot be read or rendered.
        """
        known = self._live.known
        choice = self._choose(known, unit, attributes)
        at_ms = time.time_ns() // 1_000_000
        request = uuid7(at_ms)
        try:
            rendered = _rendered(
                known,
                choice.prompt,
                choice.version,
                variables or {},
                is_safe=choice.decision is Decision.KILLED,
            )
        except PromptshipError as error:
            self._report_refusal(known, choice, variables or {}, error, request, at_ms)
            raise
        return PromptCall(rendered, choice, id=request, at_ms=at_ms, secret=self._secret, outbox=self._outbox)

    def __repr__(self) -> str:
        return f"PromptHandle({self.name!r}{f', version={self.pin!r}' if self.pin else ''})"

    def _choose(self, known: Known, unit: str, attributes: Attributes) -> Choice:
        given: object = unit
        if not isinstance(given, str) or len(given) > UNIT_CHARACTERS_MAX:
            raise InvalidVariables(
                self.name, {"unit": f"is no text of at most {UNIT_CHARACTERS_MAX} characters"}
            )
        name = self.name
        if attributes:
            _check(name, attributes)
        if application := self._application():
            attributes = {**attributes, APPLICATION: application}
        chosen = choose(
            known.route(name), prompt=name, pin=self.pin, unit=unit, leased=known.leased(name, self._monotonic()),
            attributes=attributes,
        )  # fmt: skip
        if isinstance(chosen, Unserved):
            raise NotFound(chosen.why)
        return chosen

    def _report_refusal(
        self,
        known: Known,
        choice: Choice,
        variables: Mapping[str, Any],
        error: PromptshipError,
        request: str,
        at_ms: int,
    ) -> None:
        """As the gateway does: an input that both arms refuse is the application's mistake; else the canary must see it."""
        status, kind = 500, "prompt_not_rendered"
        if isinstance(error, InvalidVariables):
            if choice.other is None or not _takes(known, choice.prompt, choice.other, variables):
                return
            status, kind = 400, "invalid_prompt_variables"
        line = observation(
            choice, id=request, at_ms=at_ms, model="", latency_ms=0.0, status=status, error_type=kind
        )
        self._outbox.put("observations", line)


def _check(prompt: str, attributes: Attributes) -> None:
    """Wrong ones are refused whether or not there is a canary, so that it shows up at once. No value is told."""
    for name, value in attributes.items():
        if not _NAME.fullmatch(str(name)):
            raise InvalidVariables(
                prompt,
                {"attributes": "have a name that is not of lower-case letters, digits and underscores"},
            )
        if not isinstance(value, str | bool | int | float | None):
            raise InvalidVariables(prompt, {f"attributes.{name}": "is no text, number, true, false or None"})


def _rendered(
    known: Known, prompt: str, version: str, variables: Mapping[str, Any], *, is_safe: bool = False
) -> Rendered:
    """`is_safe`: the kill switch's version, which takes what it knows of the caller's variables instead of refusing the others."""
    ready = known.ready(prompt, version)
    if isinstance(ready, Prompt):
        return render(ready, declared(ready, variables) if is_safe else variables)
    raise PromptshipError(str(ready))


def _takes(known: Known, prompt: str, version: str, variables: Mapping[str, Any]) -> bool:
    try:
        _rendered(known, prompt, version, variables)
    except PromptshipError:
        return False
    return True
