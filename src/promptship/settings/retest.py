"""Models that appear, move, drift and retire: what is watched, and what is done about it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from promptship.release.duration import Duration
from promptship.settings.section import Section

Days = Annotated[int, Field(ge=0, le=3650)]


class RetestSettings(Section):
    """Re-tests of production prompts."""

    every: Duration = 7 * 86400.0
    """Time between two re-tests of a production prompt on its unchanged model; they find silent drift. 0: none."""
    trials: Annotated[int, Field(ge=1, le=100)] | None = None
    """Answers per case and model; None: as the prompt's plan says."""
    spend_max_usd: Annotated[float, Field(gt=0)] | None = None
    """Most that one suite of one re-test may cost; `[evaluation] spend_max_usd`, if lower, goes before."""
    alpha: Annotated[float, Field(gt=0, le=0.2)] = 0.05
    """Chance of a false alarm of drift over the whole life of a prompt's version, however often it is re-tested. Also of the probes,
    per model."""
    probes: bool = True
    """Ask every model in use some very short questions, and notice when its answers come out of another distribution."""
    probe_every: Duration = 86400.0
    """Time between two rounds of them."""
    lead_times: tuple[Days, ...] = (90, 30, 7, 1)
    """Days before a retirement on which people are told, each once; and on the day itself."""
    propose: bool = True
    """Write a branch with the model changed when a re-test says better or the same, for people to merge."""
    remote: str = "origin"
    """Remote of the repository that such a branch is pushed to, when there is one of this name; empty: never. With `[repository] remote`
    it is that one, whatever stands here; empty then means that nothing is proposed."""
    author: str = "promptship@localhost"
    """E-mail address of the author of proposed commits. With `not_author` in a plan any approver may then approve."""
    ignore: tuple[str, ...] = ()
    """Families whose new models are not tested, such as `gpt-codex`; `promptship models list` shows them."""
