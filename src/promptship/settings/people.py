"""Who approves what, when people are asked, and where. Service configuration: no push can change it."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from promptship.prompts.model import RiskClass
from promptship.release.duration import Duration
from promptship.settings.section import Section

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
GROUP_COUNTS: Final = 10
"""How many approvers a group is taken for where nobody can count it: the most that a plan can ask for."""
SlackPlace = Annotated[str, Field(pattern=r"^(#[^\s#<>]{1,80}|[CGDUW][A-Z0-9]{2,20})$")]
"""A channel (`#leads`, `C0123456789`) or a person (`U0123456789`)."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected a time zone such as Europe/Berlin or UTC") from None
    return name


def _time_of_day(text: str) -> str:
    try:
        time.fromisoformat(text)
    except ValueError:
        raise ValueError("expected a time of the day such as 09:00") from None
    return text


Risks = Annotated[tuple[RiskClass, ...], Field(min_length=1)]
TimeOfDay = Annotated[str, Field(pattern=r"^[0-2][0-9]:[0-5][0-9]$"), AfterValidator(_time_of_day)]


class Approver(Section):
    """Somebody who may approve."""

    name: str
    email: str = ""
    """Compared with the commit's author."""
    slack: str = ""
    """Slack user id, `U...`."""
    risks: Risks = tuple(RiskClass)
    """Risk classes of releases this person may say yes to. A no is always welcome."""


class ApproverGroup(Section):
    """A Slack user group whose members may approve."""

    slack: Annotated[str, Field(pattern=r"^S[A-Z0-9]{2,20}$")]
    """Slack user group id, `S...`."""
    risks: Risks = tuple(RiskClass)
    """As of an approver."""


class WorkingHours(Section):
    """When people are asked. Times are of the wall clock in `zone`."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS[:5]
    begin: TimeOfDay = "09:00"
    end: TimeOfDay = "17:00"
    zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"

    @model_validator(mode="after")
    def _has_hours(self) -> WorkingHours:
        if self.begin >= self.end:
            raise ValueError(
                f"the day ends at {self.end} and begins at {self.begin}; expected begin before end"
            )
        return self

    def span(self, day: datetime) -> tuple[datetime, datetime] | None:
        """Begin and end of the working hours of the local day of `day`; None: a day off."""
        zone = ZoneInfo(self.zone)
        local = day.astimezone(zone).date()
        if DAYS[local.weekday()] not in self.days:
            return None
        begin, end = (
            datetime.combine(local, time.fromisoformat(text), tzinfo=zone) for text in (self.begin, self.end)
        )
        return begin, end


class ApprovalSettings(Section):
    """Who decides, beyond `[[approvers]]`, and when people are asked."""

    groups: tuple[ApproverGroup, ...] = ()
    not_author: bool = False
    """The author of a commit may never approve it, whatever the plan says."""
    working_hours: WorkingHours | None = None
    """Questions are delivered within them, and `escalate_after` counts them only; None: always."""
    escalate_after: Duration = 0.0
    """Working time without a decision after which others are told; 0: never."""
    escalate_to: tuple[SlackPlace, ...] = ()
    """Slack channels and people who are told."""

    @model_validator(mode="after")
    def _escalates_to_somebody(self) -> ApprovalSettings:
        if self.escalate_after and not self.escalate_to:
            raise ValueError("escalate_after is set and escalate_to names nobody; name a channel or a person")
        return self


class SlackSettings(Section):
    """Slack; used when a channel is set and the token is in the environment."""

    channel: str = ""
    base_url: str = "https://slack.com/api/"
    token_env: str = "SLACK_BOT_TOKEN"  # noqa: S105 - the name of a variable, not a token
    signing_secret_env: str = "SLACK_SIGNING_SECRET"  # noqa: S105 - the name of a variable
    app_token_env: str = "SLACK_APP_TOKEN"  # noqa: S105 - the name of a variable
    """When this variable is set (`xapp-...`), clicks and commands come over Socket Mode: no public address is needed."""
    thread: bool = True
    """Whether a thread follows every release that gets traffic or asks a question."""
