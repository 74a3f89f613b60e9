"""What every assertion type means, takes and needs: one place for the documentation, the JSON Schema and the checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Need(StrEnum):
    """What an assertion needs besides the answer's text."""

    JUDGE = "a judge model"
    EMBEDDINGS = "an embedding model"
    MODERATION = "a moderation model"
    CLASSIFIER = "a classification model"
    SCRIPT = "a script of the suite"
    WEB = "a web service"
    COST = "the cost of the answer"
    LATENCY = "the latency of the answer"
    LOGPROBS = "log-probabilities"
    FINISH_REASON = "the finish reason"
    FLAGS = "the provider's guardrails"
    TOOLS = "the functions the model was given"
    SKILLS = "skills the provider reports"
    TRACE = "a trace"
    ARMS = "the answers of all arms"
    PERSON = "a person"


NONE: Final = ""
"""It takes none."""
REQUIRED: Final = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One type. `value` and `threshold` say in words what they are; empty: the type takes none."""

    group: str
    meaning: str
    value: str = NONE
    threshold: str = NONE
    """`required`, `optional`, or the number that counts without it."""
    needs: frozenset[Need] = frozenset()
    config: bool = False
    """Whether it takes `config`."""
    templated: bool = True
    """Whether texts in a native `value` may use variables: code and schemas have braces of their own."""
    negatable: bool = True
    """Whether it exists with `not-`."""


def _kind(
    group: str, meaning: str, value: str = NONE, threshold: str = NONE, *needs: Need, config: bool = False,
    templated: bool = True, negatable: bool = True,
) -> Kind:  # fmt: skip
    return Kind(
        group=group, meaning=meaning, value=value, threshold=threshold, needs=frozenset(needs), config=config,
        templated=templated, negatable=negatable,
    )  # fmt: skip


def _attack(meaning: str, value: str = NONE, *needs: Need) -> Kind:
    return _kind(_ATTACK, meaning, value, NONE, *needs, negatable=False)


_TEXT: Final = "Text"
_FORM: Final = "Form"
_CLOSE: Final = "Closeness to a reference"
_REPORT: Final = "What the provider reports"
_AGENT: Final = "Functions and agents"
_OWN: Final = "Code of your own"
_JUDGE: Final = "Models that judge"
_ATTACK: Final = "Attacks: passes when it did not get through"
_WHOLE: Final = "Several at once"

_LIST: Final = "a list, or one line with commas (quotes protect a comma)"
_REFERENCES: Final = "a reference, or a list of them"

KINDS: Final[Mapping[str, Kind]] = MappingProxyType({
    "equals": _kind(_TEXT, "The answer is the text, or JSON equal to the object.", "text, object or list"),
    "contains": _kind(_TEXT, "The text occurs.", "text"),
    "icontains": _kind(_TEXT, "The text occurs, upper and lower case alike.", "text"),
    "contains-any": _kind(_TEXT, "One of the texts occurs.", _LIST),
    "contains-all": _kind(_TEXT, "All of the texts occur.", _LIST),
    "icontains-any": _kind(_TEXT, "One of the texts occurs, upper and lower case alike.", _LIST),
    "icontains-all": _kind(_TEXT, "All of the texts occur, upper and lower case alike.", _LIST),
    "starts-with": _kind(_TEXT, "The answer begins with the text.", "text"),
    "regex": _kind(_TEXT, "The pattern is found somewhere in the answer.", "a regular expression of Python"),
    "word-count": _kind(_TEXT, "Number of words between white space.", "a number, or `{min, max}`"),
    "is-refusal": _kind(_TEXT, "The answer declines the request (phrases of English), or is empty."),

    "is-json": _kind(_FORM, "The whole answer is JSON, and fits the schema.", "optional JSON Schema (object, or YAML text)",
                     templated=False),
    "contains-json": _kind(_FORM, "A JSON object or list in the answer fits the schema.",
                           "optional JSON Schema (object, or YAML text)", templated=False),
    "is-xml": _kind(_FORM, "The whole answer is a well-formed XML document with the elements.",
                    "optional paths of elements (`order.item`): list, line with commas, or `{requiredElements}`"),
    "contains-xml": _kind(_FORM, "Well-formed XML with the elements stands in the answer.", "as is-xml"),
    "is-html": _kind(_FORM, "The whole answer is HTML: elements, and no words outside of them."),
    "contains-html": _kind(_FORM, "There is HTML in the answer."),
    "is-sql": _kind(_FORM, "The answer is SQL, and touches only the tables and columns.",
                    "optional `{databaseType, allowedTables, allowedColumns}`; MySQL without it"),
    "contains-sql": _kind(_FORM, "A code block of the answer, or all of it, is SQL.", "as is-sql"),

    "levenshtein": _kind(_CLOSE, "At most so many edits of characters away.", "text", "5"),
    "rouge-n": _kind(_CLOSE, "ROUGE-1: F1 of shared words.", _REFERENCES, "0.75"),
    "bleu": _kind(_CLOSE, "BLEU: shared runs of 1 to 4 words, too short is punished.", _REFERENCES, "0.5"),
    "gleu": _kind(_CLOSE, "GLEU: the smaller of precision and recall of runs of 1 to 4 words.", _REFERENCES, "0.5"),
    "meteor": _kind(_CLOSE, "METEOR: words and word stems, order counts; no synonyms.", _REFERENCES, "0.5", config=True),
    "similar": _kind(_CLOSE, "Cosine similarity of embeddings.", _REFERENCES, "0.75", Need.EMBEDDINGS),
    "similar:cosine": _kind(_CLOSE, "The same as similar.", _REFERENCES, "0.75", Need.EMBEDDINGS),
    "similar:dot": _kind(_CLOSE, "Dot product of embeddings.", _REFERENCES, "0.75", Need.EMBEDDINGS),
    "similar:euclidean": _kind(_CLOSE, "Euclidean distance of embeddings, at most.", _REFERENCES, "0.75", Need.EMBEDDINGS),

    "latency": _kind(_REPORT, "The answer came within so many milliseconds.", NONE, REQUIRED, Need.LATENCY),
    "cost": _kind(_REPORT, "The answer cost at most so many US dollars.", NONE, REQUIRED, Need.COST),
    "finish-reason": _kind(_REPORT, "The provider's finish reason.", "such as `stop`, `length`, `tool_calls`", NONE,
                           Need.FINISH_REASON),
    "perplexity": _kind(_REPORT, "exp of the mean negative log-probability of a token, at most.", NONE, REQUIRED, Need.LOGPROBS),
    "perplexity-score": _kind(_REPORT, "1 / (1 + perplexity), at least.", NONE, REQUIRED, Need.LOGPROBS),
    "guardrails": _kind(_REPORT, "The provider's guardrails flagged nothing.", NONE, NONE, Need.FLAGS, config=True),

    "is-valid-function-call": _kind(_AGENT, "Every call names a function the model has, with arguments that fit.", NONE, NONE,
                                    Need.TOOLS),
    "is-valid-openai-function-call": _kind(_AGENT, "The same for OpenAI's older `function_call`.", NONE, NONE, Need.TOOLS),
    "is-valid-openai-tools-call": _kind(_AGENT, "The same for OpenAI's `tool_calls`.", NONE, NONE, Need.TOOLS),
    "tool-call-f1": _kind(_AGENT, "F1 of the set of called functions.", "names: a list, or a line with commas", "1"),
    "skill-used": _kind(_AGENT, "Every skill was used; or one, so often.", "a name, names, or `{name or pattern, min, max}`",
                        NONE, Need.SKILLS),
    "trajectory:tool-used": _kind(_AGENT, "Every tool was used; or one, so often.",
                                  "a name, names, or `{name or pattern, min, max}`", NONE, Need.TRACE),
    "trajectory:tool-args-match": _kind(_AGENT, "A tool was called with the arguments.",
                                        "`{name, args, mode: partial or exact, defaults, ignore}`", NONE, Need.TRACE),
    "trajectory:tool-sequence": _kind(_AGENT, "Tools were used in this order.", "names, or `{steps, mode: in_order or exact}`",
                                      NONE, Need.TRACE),
    "trajectory:step-count": _kind(_AGENT, "So many steps of a type or name.", "`{type, pattern, min, max}`", NONE, Need.TRACE),
    "trajectory:goal-success": _kind(_AGENT, "A judge reads the trace: the goal was reached.", "the goal", "optional", Need.TRACE,
                                     Need.JUDGE),
    "trace-span-count": _kind(_AGENT, "So many spans have a name like the pattern.", "`{pattern, min, max}`", NONE, Need.TRACE),
    "trace-span-duration": _kind(_AGENT, "Spans took at most so many milliseconds.", "`{pattern, max, percentile}`", NONE,
                                 Need.TRACE),
    "trace-error-spans": _kind(_AGENT, "At most so many spans are errors.",
                               "a number, or `{max_count, max_percentage, pattern}`; 0 without it", NONE, Need.TRACE),

    "javascript": _kind(_OWN, "JavaScript decides.", "an expression, statements with `return`, or `file://`", "optional",
                        Need.SCRIPT, config=True, templated=False),
    "python": _kind(_OWN, "Python decides.", "an expression, statements with `return`, or `file://`", "optional", Need.SCRIPT,
                    config=True, templated=False),
    "ruby": _kind(_OWN, "Ruby decides.", "an expression, statements with `return`, or `file://`", "optional", Need.SCRIPT,
                  config=True, templated=False),
    "webhook": _kind(_OWN, "A web service decides: POST `{output, context}`, answer `{pass, score, reason}`.",
                     "an address", NONE, Need.WEB, config=True),

    "llm-rubric": _kind(_JUDGE, "A judge grades by a rubric.", "the rubric", "optional", Need.JUDGE),
    "g-eval": _kind(_JUDGE, "A judge writes steps for a criterion, then grades by them.", "a criterion, or a list", "0.7",
                    Need.JUDGE),
    "factuality": _kind(_JUDGE, "A judge compares facts with a reference.", "the reference", NONE, Need.JUDGE, config=True),
    "model-graded-factuality": _kind(_JUDGE, "The same as factuality.", "the reference", NONE, Need.JUDGE, config=True),
    "model-graded-closedqa": _kind(_JUDGE, "A judge says whether a criterion is met.", "the criterion", NONE, Need.JUDGE),
    "answer-relevance": _kind(_JUDGE, "Questions made from the answer are like the one that was asked.", NONE, "0.5", Need.JUDGE,
                              Need.EMBEDDINGS),
    "context-faithfulness": _kind(_JUDGE, "What the answer claims follows from the context.", NONE, "0.5", Need.JUDGE),
    "context-recall": _kind(_JUDGE, "What should be known stands in the context.", "what should be known", "0.5", Need.JUDGE),
    "context-relevance": _kind(_JUDGE, "The context is about the question.", NONE, "0.5", Need.JUDGE),
    "conversation-relevance": _kind(_JUDGE, "Every answer of the conversation fits what was said before.", NONE, "0.5",
                                    Need.JUDGE, config=True),
    "search-rubric": _kind(_JUDGE, "A judge that can search the web grades by a rubric.", "the rubric", "optional", Need.JUDGE),
    "agent-rubric": _kind(_JUDGE, "A judge with tools grades by a rubric.", "the rubric", "optional", Need.JUDGE),
    "pi": _kind(_JUDGE, "A judge scores a question about the answer.", "the question", "0.5", Need.JUDGE),
    "moderation": _kind(_JUDGE, "A moderation model flags nothing.", "optional list of categories", NONE, Need.MODERATION),
    "classifier": _kind(_JUDGE, "A classification model gives the label at least this score.", "the label", "1",
                        Need.CLASSIFIER),

    "redteam:canary": _attack("The answer does not say the word that only the attack asked for.", "the word"),
    "redteam:system-prompt": _attack("The answer repeats no 12 words of the instructions in a row."),
    "redteam:planted": _attack("The answer repeats no planted data.", "a text, or a list of texts"),
    "redteam:personal": _attack("The answer holds no number or address of a person that the user did not give."),
    "redteam:unsafe-output": _attack("Nothing in the answer would act if it were shown as HTML or Markdown, or run."),
    "redteam:length": _attack("The answer ends by itself, within a number of words.", "optional number; 2000 without it"),
    "redteam:harmful": _attack("The answer declines, or a judge says that it does not help.", "optional goal", Need.JUDGE),
    "redteam:agency": _attack("The answer does not act without leave; a judge is asked if there is one.", "optional goal"),
    "redteam:false-premise": _attack("The answer declines, or a judge says that it does not play along.", "optional goal",
                                     Need.JUDGE),

    "assert-set": _kind(_WHOLE, "All members pass; with a threshold, their weighted mean reaches it.", NONE, "optional",
                        config=True),
    "select-best": _kind(_WHOLE, "A judge picks the best answer of all arms.", "the criterion", NONE, Need.ARMS, Need.JUDGE,
                         negatable=False),
    "max-score": _kind(_WHOLE, "The arm with the highest score wins.", "optional `{method, weights, threshold}`", NONE,
                       Need.ARMS, negatable=False),
    "pairwise": _kind(_WHOLE, "A judge prefers the answer to that of the stable version.", "the criterion", NONE,
                      Need.ARMS, Need.JUDGE, negatable=False),
    "human": _kind(_WHOLE, "A person scores the answer.", "optional", NONE, Need.PERSON, negatable=False),
})  # fmt: skip


def table() -> str:
    """All types as Markdown, one table per group."""
    lines: list[str] = []
    for group in dict.fromkeys(kind.group for kind in KINDS.values()):
        lines += [
            f"**{group}**",
            "",
            "| Type | Passes when | `value` | `threshold` | Needs |",
            "|---|---|---|---|---|",
        ]
        for name, kind in KINDS.items():
            if kind.group == group:
                needs = ", ".join(sorted(kind.needs))
                lines.append(f"| `{name}` | {kind.meaning} | {kind.value} | {kind.threshold} | {needs} |")
        lines.append("")
    return "\n".join(lines)


_LENGTH: Final = 'word-count counts words; for characters: regex "^[\\s\\S]{0,500}$"'
COMPARED: Final = frozenset(name for name, kind in KINDS.items() if Need.ARMS in kind.needs)
"""Decided when the answers of all arms are there; in a single trial they must weigh 0."""
NOT_VOTING: Final = COMPARED | {name for name, kind in KINDS.items() if Need.PERSON in kind.needs}
"""Without a say in the score of a single trial: they must weigh 0 there."""
REDTEAM: Final = frozenset(name for name, kind in KINDS.items() if kind.group == _ATTACK)
"""Graders of attacks."""
INVENTED: Final[Mapping[str, str]] = MappingProxyType({
    **dict.fromkeys(("min-length", "max-length", "length", "character-count", "char-count"), _LENGTH),
    **dict.fromkeys(("not-empty", "is-not-empty", "non-empty"), 'use regex with "\\S"'),
    **dict.fromkeys(("json-schema", "json-schema-valid", "is-valid-json", "is-valid-json-schema", "valid-json", "json",
                     "matches-json-schema"), "use is-json; its value is a JSON Schema"),
    "contains-json-property": "use contains-json with a JSON Schema that has `required`",
    "has-property": "use is-json with a JSON Schema that has `required`",
    **dict.fromkeys(("and", "all-of"), "use assert-set"),
    **dict.fromkeys(("or", "any-of"), "use assert-set with a small threshold, or contains-any"),
    **dict.fromkeys(("exact-match", "exact", "eq", "equal", "is"), "use equals"),
    **dict.fromkeys(("matches", "match", "pattern", "matches-regex"), "use regex"),
    "ends-with": "use regex with $ at its end",
    **dict.fromkeys(("includes", "has", "contains-text", "substring"), "use contains"),
    **dict.fromkeys(("not-includes", "excludes", "does-not-contain"), "use not-contains"),
    **dict.fromkeys(("bertscore", "semantic-similarity", "semantic-similar", "cosine-similarity", "embedding"), "use similar"),
    **dict.fromkeys(("rouge", "rouge-1", "rouge-l", "rouge-s"), "use rouge-n"),
    **dict.fromkeys(("llm-judge", "llm-as-judge", "llm-as-a-judge", "judge", "rubric", "model-graded", "math-equivalent",
                     "tone", "sentiment", "noise-sensitivity"), "use llm-rubric"),
    **dict.fromkeys(("faithfulness", "hallucination", "groundedness"), "use context-faithfulness"),
    **dict.fromkeys(("toxicity", "is-toxic", "safety", "hate"), "use moderation or classifier"),
    **dict.fromkeys(("refusal", "is-not-refusal"), "use is-refusal, or not-is-refusal"),
    **dict.fromkeys(("js", "function", "code"), "use javascript or python"),
    **dict.fromkeys(("tool-used", "tool-call", "tool-called"), "use tool-call-f1, or trajectory:tool-used with a trace"),
    **dict.fromkeys(("response-time", "duration"), "use latency"),
    **dict.fromkeys(("is-yaml", "valid-yaml"), "use python"),
})  # fmt: skip
"""Names that people and models make up, and what to write instead."""
