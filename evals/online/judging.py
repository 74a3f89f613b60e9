"""One sampled answer, one check: a score, or openly none, and whether to try again."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from promptship.adapters.files import CheckedOut
from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, NotFound, PromptshipError, Refused, Unavailable
from promptship.evals.assertions import Prepared
from promptship.evals.calls import Calls
from promptship.evals.judges import NativeGraders
from promptship.evals.native import scripts_in
from promptship.evals.online.budget import Meter, Metered
from promptship.evals.online.checks import built
from promptship.evals.online.reading import ODD, answer_of, question_of
from promptship.evals.online.redaction import Redaction
from promptship.evals.score import Scored, Subject
from promptship.evals.services import Services
from promptship.evals.suite_file import JudgeSettings
from promptship.evals.suite_run import Means
from promptship.evals.trial import said
from promptship.lifecycle.app import App
from promptship.ports import Tree
from promptship.release.environment import prompt_of
from promptship.release.online import Check, Online
from promptship.routing.observation import Score
from promptship.routing.sampling import Sample

JUDGEMENT_S_MAX: Final = 300.0
"""A judgement that takes longer, with all its calls, has no score."""
CODE: Final = "online"
"""Folder of the data directory where code of released commits is put for scripts that import their neighbours."""
IN_USE_S: Final = 600.0
"""How often that code is marked as used: what nobody has marked for `keep_evaluations` is deleted."""


@dataclass(frozen=True, slots=True)
class Missing:
    """No score. `reason` quotes nothing. `later`: what was missing may be there another time."""

    reason: str
    later: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """The plan of one release, as far as scoring needs it."""

    prompt: str
    online: Online
    tree: Tree

    def check(self, name: str) -> Check | None:
        """The check of that name."""
        return next((check for check in self.online.checks if check.name == name), None)


@dataclass(slots=True)
class Bench:
    """Judges samples. `calls` gives the calls of now: they are made anew when an endpoint's fuse has blown."""

    app: App
    means: Means
    calls: Callable[[], Calls]
    meters: Callable[[str, Check], tuple[Meter, ...]]
    redaction: Redaction
    _rules: dict[str, Rules | Missing] = field(default_factory=dict)
    _built: dict[tuple[str, str], Prepared] = field(default_factory=dict)
    _touched: dict[str, float] = field(default_factory=dict)

    async def rules(self, release: str) -> Rules | Missing:
        """The rules of a release's plan; read once, for a plan is frozen with its release, while its files are there."""
        if release in self._rules and not self._is_in_use(release):
            del self._rules[release]
            self._built = {key: made for key, made in self._built.items() if key[0] != release}
        if release not in self._rules:
            found = await asyncio.to_thread(self._read, release)
            if isinstance(found, Missing) and found.later:
                return found
            self._rules[release] = found
        return self._rules[release]

    def _is_in_use(self, release: str) -> bool:
        """Keep the code of its commit from being tidied away; False: it was, while nothing was scored by it."""
        rules = self._rules[release]
        if isinstance(rules, Missing) or not isinstance(rules.tree, CheckedOut):
            return True
        now = time.monotonic()
        if now - self._touched.get(release, -IN_USE_S) >= IN_USE_S:
            try:
                os.utime(rules.tree.directory)
            except OSError:
                return False
            self._touched[release] = now
        return True

    async def judge(self, sample: Sample, name: str) -> Score | Missing:
        """What a check says about an answer."""
        rules = await self.rules(sample.plan)
        if isinstance(rules, Missing):
            return rules
        check = rules.check(name)
        if check is None:
            return Missing("the plan has no check of that name")
        asking = Metered(self.calls, self.meters(rules.prompt, check))
        try:
            async with asyncio.timeout(JUDGEMENT_S_MAX):
                found = await self._judged(sample, rules, check, asking)
        except TimeoutError:
            return Missing(f"it took longer than {JUDGEMENT_S_MAX:g} s", later=True)
        except Unavailable:
            found = Missing("the judge did not answer")
        except Refused:
            return Missing("the judge's provider refused the key")
        except ConfigError as error:
            return Missing(f"the check cannot be asked: {_keys(error)}")
        except Exception as error:  # noqa: BLE001 - one odd answer must not end the scoring of all others
            return Missing(f"the check broke: {type(error).__name__}")
        if isinstance(found, Missing):
            if asking.spent:
                return Missing("the budget is spent")
            return Missing(found.reason, later=asking.down)
        return self._score(sample, check, found)

    async def _judged(self, sample: Sample, rules: Rules, check: Check, asking: Metered) -> Scored | Missing:
        prepared = self._assertion(sample, rules, check)
        judge = check.judge or rules.online.judge
        graders = None
        if judge is not None:
            settings = JudgeSettings.model_validate(judge.model_dump(mode="json"))
            graders = NativeGraders(self.means.models, asking, settings, endpoint=self.means.endpoint)
        services = Services(scripts=self.means.scripts, graders=graders, web=self.means.web)
        try:
            subject = self._subject(sample, services, redacted=rules.online.redact_before_judging)
        except ODD:
            return Missing("question or answer cannot be read")
        judged = await prepared.assertion.judge(subject)
        if not isinstance(judged.score, Scored):
            return Missing(judged.score.reason)
        return judged.score if math.isfinite(judged.score.score) else Missing("the score is no number")

    def _assertion(self, sample: Sample, rules: Rules, check: Check) -> Prepared:
        key = (sample.plan, check.name)
        if key in self._built:
            return self._built[key]
        folder = self.app.settings.repository.suites
        _, prepared = built(
            check, rules.online, rules.tree, folder, sample.variables if check.variables else {}
        )
        if not check.variables:
            self._built[key] = prepared
        return prepared

    def _subject(self, sample: Sample, services: Services, *, redacted: bool) -> Subject:
        messages, parameters = question_of(sample)
        answer = answer_of(sample)
        output, variables = said(answer), dict(sample.variables)
        if redacted:
            messages, output = self.redaction.data(messages), self.redaction.text(output)
            variables = self.redaction.data(variables)
            answer = ChatAnswer(text=output, finish_reason=answer.finish_reason)
        return Subject(
            output=output, value=answer.value, services=services, answer=replace(answer, latency_ms=sample.latency_ms), messages=messages,
            vars=variables, provider_config=parameters, test={"id": sample.id, "vars": variables},
        )  # fmt: skip

    def _score(self, sample: Sample, check: Check, found: Scored) -> Score:
        value = min(max(float(found.score), 0.0), 1.0)
        now_ms = int(self.app.clock.now().timestamp() * 1000)
        return Score(
            id=hashlib.sha256(f"{sample.id} {check.name}".encode()).hexdigest()[:32],
            at_ms=max(now_ms, sample.at_ms), request=sample.id, request_at_ms=sample.at_ms, prompt=sample.prompt,
            version=sample.version, arm=sample.arm, release=sample.release, stage=sample.stage, unit=sample.unit,
            name=check.name, value=value, passed=found.passed if check.threshold is None else value >= check.threshold,
        )  # fmt: skip

    def _read(self, release_id: str) -> Rules | Missing:
        try:
            release = self.app.release(release_id)
            if release.plan is None:
                return Missing("the release has no plan")
            tree, folder = self.app.repository.tree(release.commit), self.app.settings.repository.suites
            if scripts_in(tree, folder):
                tree = CheckedOut(tree, folder, self.app.settings.data / CODE / release.commit)
            return Rules(prompt_of(release.prompt), release.plan.online, tree)
        except Unavailable:
            return Missing("ledger or repository did not answer", later=True)
        except NotFound:
            return Missing("its release or commit is not known here")
        except PromptshipError as error:
            return Missing(f"its plan cannot be read: {type(error).__name__}")


def _keys(error: ConfigError) -> str:
    """Where it is wrong; what was found there may quote an answer."""
    return ", ".join(dict.fromkeys(problem.key or "the request" for problem in error.problems))
