"""Every error promptship raises on purpose.

PromptshipError             base; carries the exit status of the command line
├── ConfigError             your files are wrong: file, key, got, expected, what to do; all problems at once
├── InvalidVariables        a request's prompt variables do not fit the prompt: names each variable
├── NotFound                a prompt, release, commit or file that does not exist here
├── IllegalTransition       a release was asked to move along an edge the lifecycle does not have
├── Conflict                somebody else changed the same thing first; read again, nothing was written
├── Refused                 the caller may not do this: signature, token, approver, policy
└── Unavailable             something outside did not answer; the only error that is retried
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class PromptshipError(Exception):
    """Base of the tree. `exit_code`: 1 the answer is no, 2 your input is wrong, 3 something outside is down."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with one file. `key` is a dotted path such as `plans.careful.stages[1].share`; `line` is 1-based, 0 unknown."""

    file: str
    key: str
    got: str
    expected: str
    advice: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        what = (
            f"{where}: {self.key} is {self.got}; {self.expected}"
            if self.key
            else f"{where}: {self.got}; {self.expected}"
        )
        return f"{what} ({self.advice})" if self.advice else what


class ConfigError(PromptshipError):
    """One or more files are wrong. Holds every problem found, never only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        """Errors travel between processes; by default only the message would."""
        return type(self), (self.problems,)


class InvalidVariables(PromptshipError):
    """The variables of a request do not fit the prompt. `problems` maps variable name to what is wrong with it."""

    def __init__(self, prompt: str, problems: dict[str, str]) -> None:
        self.prompt = prompt
        self.problems = dict(problems)
        super().__init__(
            f"prompt {prompt}: " + "; ".join(f"variable {name} {what}" for name, what in problems.items())
        )

    def __reduce__(self) -> tuple[type[InvalidVariables], tuple[str, dict[str, str]]]:
        """As `ConfigError.__reduce__`."""
        return type(self), (self.prompt, self.problems)


class NotFound(PromptshipError):
    """A prompt, release, commit or file does not exist here. The message says what was looked for and where."""


class IllegalTransition(PromptshipError):
    """A release was asked to skip a step or to leave an end."""

    exit_code = 1


class Conflict(PromptshipError):
    """Lost a compare-and-set: the state moved since it was read. Nothing was written; read again and decide again."""

    exit_code = 1


class Refused(PromptshipError):
    """The caller is not allowed: bad signature, unknown approver, wrong token, policy."""

    exit_code = 1

    def __init__(self, message: str, *, model_only: bool = False) -> None:
        super().__init__(message)
        self.model_only = model_only
        """The key may not use this model (403); it may be good for others of the same provider."""


class Unavailable(PromptshipError):
    """Something outside did not answer in time, or answered that it cannot now. Safe and sensible to try again."""

    exit_code = 3

    def __init__(self, message: str, *, retry_after_s: float | None = None, throttled: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.throttled = throttled
        """It answers, but not so often: 429, or a limit of requests or tokens."""


def place_of(error: BaseException) -> str:
    """Type and place of an error, without its text: for logs, where that text may quote what a request held."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"
