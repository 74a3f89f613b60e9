"""What a check of an installation says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from promptship.errors import ConfigError, PromptshipError, Unavailable
from promptship.render.redact import redact


class State(StrEnum):
    """How a part is."""

    OK = "ok"
    WARN = "warn"  # it works; somebody should look at it
    FAIL = "fail"  # it does not work


_BADNESS: Final = (State.OK, State.WARN, State.FAIL)


@dataclass(frozen=True, slots=True)
class Found:
    """One line of the table."""

    part: str
    state: State
    said: str
    advice: str = ""
    """What to do; empty when there is nothing to do."""
    is_down: bool = False
    """Whether it failed because something outside does not answer."""


Check = Callable[[], Iterable[Found]]


def ok(part: str, said: str) -> Found:
    """It works."""
    return Found(part, State.OK, said)


def warn(part: str, said: str, advice: str) -> Found:
    """It works, but."""
    return Found(part, State.WARN, said, advice)


def fail(part: str, said: str, advice: str, *, is_down: bool = False) -> Found:
    """It does not work."""
    return Found(part, State.FAIL, said, advice, is_down)


def down(part: str, said: str, advice: str) -> Found:
    """It does not answer."""
    return fail(part, said, advice, is_down=True)


def examined(part: str, check: Check) -> list[Found]:
    """What the check says, without secrets. One that cannot be finished is a failure of its part: no check stops the others."""
    try:
        found = list(check())
    except ConfigError as error:
        found = [
            fail(part, f"{one.key or one.file}: {one.got}; {one.expected}", one.advice)
            for one in error.problems
        ]
    except Unavailable as error:
        found = [down(part, str(error), "start it, or correct its address in promptship.toml")]
    except PromptshipError as error:
        found = [fail(part, str(error), "")]
    except Exception as error:  # noqa: BLE001 - whatever is broken here is what was asked about
        found = [fail(part, f"the check itself failed ({type(error).__name__})", "please report this")]
    return [Found(one.part, one.state, redact(one.said), redact(one.advice), one.is_down) for one in found]


def exit_status(found: Iterable[Found]) -> int:
    """0: nothing has failed; 3: all that failed is that something does not answer; 1: something is wrong."""
    failed = [one for one in found if one.state is State.FAIL]
    if not failed:
        return 0
    return 3 if all(one.is_down for one in failed) else 1


def worst(found: Iterable[Found]) -> State:
    """The worst state."""
    return max((one.state for one in found), key=_BADNESS.index, default=State.OK)
