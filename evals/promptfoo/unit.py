"""One row of a promptfoo run: variables, prompt, provider, transforms, assertions, score."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from promptship.chat import ChatAnswer
from promptship.errors import ConfigError, PromptshipError
from promptship.evals.assertions.script import transform
from promptship.evals.calls import unanswered
from promptship.evals.promptfoo.asserting import Assertions, Outcome
from promptship.evals.promptfoo.calling import script_of
from promptship.evals.promptfoo.columns import Column
from promptship.evals.promptfoo.hooks import Hooks
from promptship.evals.promptfoo.model import CallContext, Config, Provider, TestCase
from promptship.evals.promptfoo.nunjucks import Nunjucks, TemplateError
from promptship.evals.promptfoo.rendering import Rendered, render_prompt
from promptship.evals.promptfoo.results import FILE_METADATA, result_of
from promptship.evals.promptfoo.run_state import CONVERSATION, RunState
from promptship.evals.promptfoo.scoring import UNASKED, Total, total
from promptship.evals.rows import Row
from promptship.evals.score import Score, Scored, Subject, Unscored
from promptship.evals.services import ScriptFailed, Services
from promptship.evals.units import Asking

NOT_FOR_PROVIDERS: Final = frozenset(
    {
        "prefix", "suffix", "transform", "postprocess", "transformVars", "storeOutputAs", "provider", "rubricPrompt",
        "factuality", "disableVarExpansion", "disableConversationVar", "disableDefaultAsserts", "runSerially", "repeat",
    }
)  # fmt: skip
"""Options of a test that are about the test; all others are parameters of the call."""
RUNTIME: Final = ("__evalId", "__evalStepId", "__repeatIndex")
"""Variables that templates and providers may use and that no result shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What every row of a run works with."""

    config: Config
    asking: Asking
    renderer: Nunjucks
    assertions: Assertions
    hooks: Hooks
    state: RunState
    read: Callable[[str], str]
    provider: Callable[[Any], Provider]
    """Makes the provider that a test names for itself. Raises ConfigError."""
    env: Mapping[str, str] = field(default_factory=dict)
    delay_ms: float = 0.0
    """After each call, for providers without a delay of their own."""
    limit_s: float | None = None
    """For a whole row (`timeoutMs`); None: as long as it takes."""
    conversations: bool = True
    """Whether prompts get `_conversation`."""


class _Lost(Exception):
    """There is no answer, or no use for it: the row has no score."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.missing = Unscored(reason, detail)


@dataclass(slots=True)
class _Going:
    """How far a row has come."""

    case: TestCase
    variables: dict[str, Any] = field(default_factory=dict)
    stored: dict[str, Any] = field(default_factory=dict)
    """What earlier rows left, as it was when this one began."""
    sent: str = ""
    prompt_config: Mapping[str, Any] = field(default_factory=dict)
    """What the prompt's function added to the prompt's own."""
    answer: ChatAnswer | None = None
    outcome: Outcome = field(default_factory=Outcome)
    total: Total | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptfooUnit:
    """`promptship.evals.units.Unit`."""

    content: TestCase
    column: Column
    trial: int
    case: str
    digest: str
    kit: Kit
    alone: bool = False
    """It goes by itself, in the order of the run."""
    after_others: bool = False
    """Some rows go by themselves, before this one."""

    @property
    def arm(self) -> str:
        """Key of the column."""
        return self.column.arm

    async def hold(self, services: Services) -> Row:
        """Do the row; whatever goes wrong makes it Unscored."""
        order = self.kit.state.order
        if self.alone:
            async with order:
                return await self._timed(services)
        if self.after_others:
            async with order:
                pass
        return await self._timed(services)

    async def _timed(self, services: Services) -> Row:
        going = _Going(self.content)
        missing = await self._tried(going, services)
        row = self._row(going, missing)
        return await self._seen(row, going.case) if self.kit.hooks else row

    async def _tried(self, going: _Going, services: Services) -> Unscored | None:
        """Go as far as it goes, and why no further."""
        loop = asyncio.get_running_loop()
        ends_at, limit_s = self.kit.state.ends_at, self.kit.limit_s
        until = None if limit_s is None else loop.time() + limit_s
        if ends_at is not None:
            until = ends_at if until is None else min(until, ends_at)
        try:
            if until is None:
                await self._go(going, services)
            else:
                async with asyncio.timeout_at(until):
                    if until <= loop.time():
                        await asyncio.sleep(1)  # the limit strikes here
                    await self._go(going, services)
        except TimeoutError:
            if ends_at is not None and loop.time() >= ends_at:
                return Unscored("the time of the whole run was over", "maxEvalTimeMs")
            return Unscored("the row took too long", f"timeoutMs: {limit_s} s")
        except _Lost as error:
            return error.missing
        except PromptshipError as error:
            return unanswered(error)
        except ScriptFailed as error:
            return Unscored(error.reason, error.detail)
        except Exception as error:  # noqa: BLE001 - a mistake of ours costs a row, not the run
            return Unscored(f"the row broke: {type(error).__name__}", str(error))
        return None

    async def _seen(self, row: Row, case: TestCase) -> Row:
        """The row as `afterEach` leaves it; a hook that fails leaves it as it is, and says so."""
        result = result_of(row, case, self.column, self.kit.state.run_id)
        try:
            named, metadata = await self.kit.hooks.after_each(case.raw, result)
        except (ScriptFailed, ConfigError) as error:
            return replace(row, metadata={**row.metadata, "afterEach": f"failed: {error}"})
        known = {**self.content.metadata, FILE_METADATA: {}}
        more = {key: value for key, value in metadata.items() if key not in known or known[key] != value}
        return replace(row, named=named, metadata=more)

    async def _go(self, going: _Going, services: Services) -> None:
        if self.kit.hooks:
            try:
                changed = await self.kit.hooks.before_each(going.case.raw)
            except (ScriptFailed, ConfigError) as error:
                raise _Lost("a beforeEach hook failed", str(error)) from None
            going.case = changed_case(going.case, changed)
        going.stored = dict(self.kit.state.stored)
        going.variables = self._variables(going)
        rendered = await self._rendered(going, services)
        going.sent, going.variables, going.prompt_config = rendered.text, dict(rendered.vars), rendered.more
        answer = await self._answer(going, rendered, services)
        said = answer.text if answer.value is None else answer.value
        self.kit.state.said(self._conversation(going.case), going.sent, said, answer.metadata)
        going.answer = answer
        value = await self._transformed(said, going, services)
        going.answer = _saying(answer, value)
        going.total = await self._judged(going, services)
        name = going.case.options.get("storeOutputAs")
        if name and value:
            self.kit.state.stored[str(name)] = value

    def remember(self, row: Row) -> None:
        """Leave behind what a row that is taken over from an earlier run left for later ones."""
        said = None if not row.answers else row.answers[-1] if row.value is None else row.value
        self.kit.state.said(self._conversation(self.content), row.sent, said, row.metadata)
        name = self.content.options.get("storeOutputAs")
        if name and said:
            self.kit.state.stored[str(name)] = said

    def _variables(self, going: _Going) -> dict[str, Any]:
        kit, case = self.kit, going.case
        variables = dict(case.vars)
        if kit.conversations and kit.state.remembers and not case.options.get("disableConversationVar"):
            variables[CONVERSATION] = list(kit.state.conversations.get(self._conversation(case), ()))
        step = f"test-{case.first + self.trial * case.step}-prompt-{self.column.index}-repeat-{self.trial}"
        return (
            variables
            | kit.state.stored
            | dict(zip(RUNTIME, (kit.state.run_id, step, self.trial), strict=True))
        )

    def _conversation(self, case: TestCase) -> tuple[str, str, int, str]:
        column = self.column
        topic = case.metadata.get("conversationId")
        return column.provider.label, column.prompt_id, column.index, "" if topic is None else str(topic)

    async def _rendered(self, going: _Going, services: Services) -> Rendered:
        kit, column, options = self.kit, self.column, going.case.options
        prompt = column.prompt
        prefix, suffix = options.get("prefix") or "", options.get("suffix") or ""
        if prefix or suffix:
            prompt = replace(prompt, raw=f"{prefix}{prompt.raw}{suffix}")
        try:
            return await render_prompt(
                prompt, going.variables, provider_id=column.provider.id, provider_label=column.provider.label,
                config=column.provider.config, renderer=kit.renderer, scripts=services.scripts, env=kit.env, base=kit.config.base,
            )  # fmt: skip
        except (TemplateError, ConfigError, ScriptFailed) as error:
            raise _Lost("the prompt cannot be rendered", str(error)) from None

    async def _answer(self, going: _Going, rendered: Rendered, services: Services) -> ChatAnswer:
        case, kit = going.case, self.kit
        if case.provider_output:
            return _saying(ChatAnswer(text="", cost_usd=0.0), case.provider_output)
        try:
            provider = kit.provider(case.provider) if case.provider else self.column.provider
        except ConfigError as error:
            raise _Lost("the test's own provider cannot be used", str(error)) from None
        options = {key: value for key, value in case.options.items() if key not in NOT_FOR_PROVIDERS}
        context = CallContext(
            vars=rendered.vars, prompt_label=self.column.prompt.label, prompt_raw=self.column.prompt.raw,
            prompt_config={**rendered.config, **options}, test=case.raw, trial=self.trial, run_id=kit.state.run_id,
            test_index=case.first + self.trial * case.step,
        )  # fmt: skip
        answer = await provider.call(rendered.text, context, kit.asking, services.scripts)
        delay_ms = self.column.delay_ms or kit.delay_ms
        if delay_ms and not answer.cached:
            await asyncio.sleep(delay_ms / 1000)
        return answer

    async def _transformed(self, said: Any, going: _Going, services: Services) -> Any:
        """The output after the provider's transform and the test's."""
        prompt = self.column.prompt
        config = {"config": dict(prompt.config)} if prompt.config else {}
        shown = {"raw": prompt.raw, "label": prompt.label, **config, "template": prompt.raw}
        context = {"vars": self._shown(going), "prompt": shown}
        options = going.case.options
        if self.column.transform:
            said = await self._through(self.column.transform, said, context, services)
        code = options.get("transform") or options.get("postprocess")
        if code:
            metadata = going.answer.metadata if going.answer else {}
            said = await self._through(str(code), said, {**context, "metadata": metadata}, services)
        return said

    async def _through(self, code: str, said: Any, context: Mapping[str, Any], services: Services) -> Any:
        try:
            made = await transform(
                services.scripts, code, said, context, read=self.kit.read, root=self.kit.config.base
            )
        except ScriptFailed as error:
            raise _Lost("a transform failed", str(error)) from None
        if made is None:
            raise _Lost("a transform gave nothing", code[:80])
        return made

    def _shown(self, going: _Going) -> dict[str, Any]:
        return {name: value for name, value in going.variables.items() if name not in RUNTIME}

    async def _judged(self, going: _Going, services: Services) -> Total:
        case, answer = going.case, going.answer
        if not case.asserts:
            return Total(score=UNASKED)
        assert answer is not None  # noqa: S101 - it was just given
        subject = Subject(
            output=answer.text, value=answer.value, services=services, answer=answer, prompt=going.sent,
            vars=self._shown(going), provider_config=self.column.provider.config, test=case.raw,
        )  # fmt: skip
        going.outcome = await self.kit.assertions.ask(case, subject)
        whole = total(going.outcome.votes, case.threshold)
        if case.scoring_function:
            return await self._scored(case, whole, going, services)
        return whole

    async def _scored(self, case: TestCase, whole: Total, going: _Going, services: Services) -> Total:
        """What the user's own scoring function says instead."""
        components = [component(vote.asserted) for vote in going.outcome.votes]
        context = {
            "threshold": case.threshold,
            "componentResults": components,
            "tokensUsed": {"total": going.outcome.judge_tokens},
        }
        reason = "the scoring function failed"
        try:
            script = script_of(
                str(case.scoring_function), self.kit.config.base, (dict(whole.named), context), python="func"
            )
            given = await services.scripts.run(script)
        except (ScriptFailed, ConfigError) as error:
            return replace(whole, score=Unscored(reason, str(error)))
        score = given.get("score") if isinstance(given, Mapping) else None
        if (
            not isinstance(given, Mapping)
            or not isinstance(given.get("pass"), bool)
            or not isinstance(score, int | float)
        ):
            return replace(whole, score=Unscored(reason, "it gave no pass and score"))
        named = given.get("namedScores")
        return Total(
            score=Scored(given["pass"], float(score), str(given.get("reason") or "")),
            named=dict(named) if isinstance(named, Mapping) else whole.named, named_weights=whole.named_weights,
        )  # fmt: skip

    def _row(self, going: _Going, missing: Unscored | None) -> Row:
        answer = going.answer
        whole = going.total or Total(score=missing or UNASKED)
        score: Score = missing or whole.score
        changed = {**going.case.vars, **going.stored}
        return Row(
            case=self.case, arm=self.arm, trial=self.trial, digest=self.digest, score=score,
            asserted=tuple(vote.asserted for vote in going.outcome.votes),
            answers=() if answer is None else (answer.text,), value=None if answer is None else answer.value,
            sent=going.sent, prompt_config=going.prompt_config, vars=changed if changed != self.content.vars else None,
            named=whole.named if missing is None else {}, named_weights=whole.named_weights if missing is None else {},
            error="" if missing is None else ": ".join(filter(None, (missing.reason, missing.detail))),
            latency_ms=None if answer is None else answer.latency_ms,
            tokens_in=None if answer is None else answer.tokens_in,
            tokens_out=None if answer is None else answer.tokens_out,
            tokens_cached=None if answer is None else answer.tokens_cached,
            cost_usd=None if answer is None else 0.0 if answer.cached else answer.cost_usd,
            judge_tokens=going.outcome.judge_tokens, judge_cost_usd=going.outcome.judge_cost_usd,
            judge_unpriced=going.outcome.judge_unpriced,
            cached=answer is not None and answer.cached, model="" if answer is None else answer.model,
            fingerprint="" if answer is None else answer.fingerprint,
            finish_reason="" if answer is None else answer.finish_reason,
            metadata={} if answer is None else answer.metadata,
        )  # fmt: skip


def component(asserted: Any) -> dict[str, Any]:
    """A vote as a scoring function sees it."""
    score = asserted.score
    data = {"pass": False, "score": 0.0, "reason": ""}
    if isinstance(score, Scored):
        data = {"pass": score.passed or asserted.weight == 0, "score": score.score, "reason": score.reason}
    return {
        **data,
        "assertion": {"type": asserted.type, "metric": asserted.metric, "weight": asserted.weight},
    }


def _saying(answer: ChatAnswer, said: Any) -> ChatAnswer:
    """The answer with another output."""
    if isinstance(said, str):
        return (
            answer if answer.value is None and answer.text == said else replace(answer, text=said, value=None)
        )
    return replace(answer, text=text_of(said), value=said)


def text_of(value: Any) -> str:
    """A value as text: what `JSON.stringify` makes of it."""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def changed_case(case: TestCase, test: Mapping[str, Any]) -> TestCase:
    """A case as `beforeEach` left it."""
    return replace(
        case, raw=test, vars=test.get("vars") or {}, asserts=tuple(test.get("assert") or ()), options=test.get("options") or {},
        metadata=test.get("metadata") or {}, threshold=test.get("threshold"), provider_output=test.get("providerOutput"),
        description=str(test.get("description") or ""),
    )  # fmt: skip


def row_digest(case: str, column: str) -> str:
    """Of a row, from the digests of its case and its column."""
    return hashlib.sha256(f"{case} {column}".encode()).hexdigest()
