"""The difference of two prompts as values: word by word inside a message, key by key elsewhere."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from promptship.prompts.digest import canonical
from promptship.prompts.json_values import compact, under
from promptship.prompts.model import Prompt

_TOKENS_SQUARED_MAX = 4_000_000
"""Above this many comparisons two texts count as rewritten; the word diff is quadratic."""
_ABOUT = ("description", "owner", "risk", "release")


class Op(StrEnum):
    """What happened to a stretch of text."""

    EQUAL = "equal"
    INSERT = "insert"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Hunk:
    """A stretch of text: all EQUAL and DELETE hunks are the old text, all EQUAL and INSERT hunks the new one."""

    op: Op
    text: str


class Change(StrEnum):
    """What happened to a message."""

    SAME = "same"
    CHANGED = "changed"
    MOVED = "moved"
    """It stands elsewhere among the others; its text may have changed too."""
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDiff:
    """One message before and after. An index or a speaker (role, or role and name) is None where there is no message."""

    change: Change
    before_index: int | None
    after_index: int | None
    before_speaker: str | None
    after_speaker: str | None
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A value by its dotted path, before and after as canonical JSON; None: not there."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class PromptDiff:
    """All messages, and every other value that changed."""

    messages: tuple[MessageDiff, ...]
    fields: tuple[FieldChange, ...]
    """Of what the model sees: model, parameters, variables, tools, output schema."""
    about: tuple[FieldChange, ...] = ()
    """Of what is only about the prompt: owner, risk, release plan, descriptions and examples of variables."""

    @property
    def empty(self) -> bool:
        """Whether the model sees the same: exactly when both prompts have the same digest."""
        return not self.fields and all(message.change is Change.SAME for message in self.messages)


def old_text(hunks: Iterable[Hunk]) -> str:
    """The text before."""
    return "".join(hunk.text for hunk in hunks if hunk.op is not Op.INSERT)


def new_text(hunks: Iterable[Hunk]) -> str:
    """The text after."""
    return "".join(hunk.text for hunk in hunks if hunk.op is not Op.DELETE)


def diff(before: Prompt, after: Prompt) -> PromptDiff:
    """What changed from one prompt to another. Raises ConfigError like `canonical`."""
    old, new = canonical(before), canonical(after)
    return PromptDiff(
        messages=tuple(_messages(old.pop("messages"), new.pop("messages"))),
        fields=tuple(_fields(_unfolded(old), _unfolded(new))),
        about=tuple(_fields(_about(before), _about(after))),
    )


def words(before: str, after: str) -> tuple[Hunk, ...]:
    """Word-level hunks of two texts: lines first, then words within the lines that changed."""
    hunks: list[Hunk] = []
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    for op, i1, i2, j1, j2 in _opcodes(old, new):
        removed, added = "".join(old[i1:i2]), "".join(new[j1:j2])
        if op == "equal":
            hunks.append(Hunk(Op.EQUAL, removed))
        else:
            hunks.extend(_within(removed, added))
    return tuple(_tidy(hunks))


def _opcodes(old: list[str], new: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """Like difflib's, but what both begin and end with is set aside first: most changes are small."""
    head = _shared(old, new)
    tail = _shared(old[head:][::-1], new[head:][::-1])
    i, j = len(old) - tail, len(new) - tail
    codes: list[tuple[str, int, int, int, int]] = [("equal", 0, head, 0, head)] if head else []
    if (i - head) * (j - head) > _TOKENS_SQUARED_MAX:
        codes.append(("replace", head, i, head, j))
    else:
        middle = difflib.SequenceMatcher(None, old[head:i], new[head:j], autojunk=False).get_opcodes()
        codes += [(op, i1 + head, i2 + head, j1 + head, j2 + head) for op, i1, i2, j1, j2 in middle]
    return [*codes, ("equal", i, len(old), j, len(new))] if tail else codes


def _shared(old: list[str], new: list[str]) -> int:
    """How many tokens both begin with."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(old), len(new)))


def _within(removed: str, added: str) -> Iterator[Hunk]:
    old, new = _tokens(removed), _tokens(added)
    for op, i1, i2, j1, j2 in _opcodes(old, new):
        if op == "equal":
            yield Hunk(Op.EQUAL, "".join(old[i1:i2]))
        else:
            yield Hunk(Op.DELETE, "".join(old[i1:i2]))
            yield Hunk(Op.INSERT, "".join(new[j1:j2]))


def _tokens(text: str) -> list[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", text)


def _tidy(hunks: Iterable[Hunk]) -> Iterator[Hunk]:
    """Between two equal stretches one deletion and one insertion: spaces left equal between changed words join the change."""
    removed = added = gap = ""
    equal = ""
    for hunk in hunks:
        if hunk.op is not Op.EQUAL:
            if gap:
                removed, added, gap = removed + gap, added + gap, ""
            elif equal:
                yield Hunk(Op.EQUAL, equal)
                equal = ""
            removed += hunk.text if hunk.op is Op.DELETE else ""
            added += hunk.text if hunk.op is Op.INSERT else ""
        elif (removed or added) and not (gap + hunk.text).strip(" \t"):
            gap += hunk.text
        else:
            yield from _changed(removed, added)
            equal += gap + hunk.text
            removed = added = gap = ""
    yield from _changed(removed, added)
    if equal + gap:
        yield Hunk(Op.EQUAL, equal + gap)


def _changed(removed: str, added: str) -> Iterator[Hunk]:
    if removed:
        yield Hunk(Op.DELETE, removed)
    if added:
        yield Hunk(Op.INSERT, added)


def _messages(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[MessageDiff]:
    """In the order of the new prompt; removed messages stand where they stood."""
    pairs, crossing = _aligned(old, new)
    partner = {after: before for before, after in pairs | crossing}
    gone = [index for index in range(len(old)) if index not in partner.values()]
    kept = dict(sorted(pairs))
    for after, message in enumerate(new):
        before = partner.get(after)
        if before is not None and before in kept:
            while gone and gone[0] < before:
                yield _removed(gone[0], old[gone.pop(0)])
        if before is None:
            yield _added(after, message)
        else:
            yield _paired(before, old[before], after, message, moved=before not in kept)
    for index in gone:
        yield _removed(index, old[index])


def _speaker(message: dict[str, Any]) -> str:
    return f"{message['role']} {message['name']!r}" if "name" in message else str(message["role"])


def _text_hunks(op: Op, text: str) -> tuple[Hunk, ...]:
    return (Hunk(op, text),) if text else ()


def _removed(index: int, message: dict[str, Any]) -> MessageDiff:
    return MessageDiff(
        change=Change.REMOVED, before_index=index, after_index=None, before_speaker=_speaker(message), after_speaker=None,
        hunks=_text_hunks(Op.DELETE, message["content"]),
    )  # fmt: skip


def _added(index: int, message: dict[str, Any]) -> MessageDiff:
    return MessageDiff(
        change=Change.ADDED, before_index=None, after_index=index, before_speaker=None, after_speaker=_speaker(message),
        hunks=_text_hunks(Op.INSERT, message["content"]),
    )  # fmt: skip


def _paired(before: int, old: dict[str, Any], after: int, new: dict[str, Any], *, moved: bool) -> MessageDiff:
    change = Change.MOVED if moved else Change.SAME if old == new else Change.CHANGED
    return MessageDiff(
        change=change, before_index=before, after_index=after, before_speaker=_speaker(old), after_speaker=_speaker(new),
        hunks=words(old["content"], new["content"]),
    )  # fmt: skip


def _aligned(
    old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Pairs of indices in order (the alignment of greatest likeness, Needleman-Wunsch), and pairs that cross them: moved."""
    bags = (
        [Counter(_tokens(message["content"])) for message in old],
        [Counter(_tokens(message["content"])) for message in new],
    )
    best = [[0.0] * (len(new) + 1) for _ in range(len(old) + 1)]
    like = [
        [_likeness(old[i], bags[0][i], new[j], bags[1][j]) for j in range(len(new))] for i in range(len(old))
    ]
    for i in range(len(old) - 1, -1, -1):
        for j in range(len(new) - 1, -1, -1):
            best[i][j] = max(best[i + 1][j], best[i][j + 1], best[i + 1][j + 1] + like[i][j])
    pairs: set[tuple[int, int]] = set()
    i = j = 0
    while i < len(old) and j < len(new):
        if like[i][j] > 0 and best[i][j] == best[i + 1][j + 1] + like[i][j]:
            pairs.add((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    left = [index for index in range(len(old)) if index not in {pair[0] for pair in pairs}]
    crossing: set[tuple[int, int]] = set()
    for after in (index for index in range(len(new)) if index not in {pair[1] for pair in pairs}):
        same = next((before for before in left if old[before] == new[after]), None)
        if same is not None:
            left.remove(same)
            crossing.add((same, after))
    return pairs, crossing


def _likeness(
    old: dict[str, Any], old_bag: Counter[str], new: dict[str, Any], new_bag: Counter[str]
) -> float:
    """0 (no pair) .. 2: equal is best; the same speaker may have been rewritten, another must share half of the words."""
    if old == new:
        return 2.0
    shared, total = (old_bag & new_bag).total(), (old_bag | new_bag).total()
    share = shared / total if total else 1.0
    if _speaker(old) == _speaker(new):
        return 0.5 + share
    return share if share >= 0.5 else 0.0  # noqa: PLR2004 - half, as the docstring says


def _unfolded(content: dict[str, Any]) -> dict[str, Any]:
    """Canonical content with its schemas as structures, and beside each the order of its keys, which is content too."""
    # Canonical content leaves empty ones out; told apart key by key, they need not be there to be compared.
    unfolded: dict[str, Any] = {
        **content,
        **{key: content.get(key, {}) for key in ("parameters", "variables")},
    }
    for key in ("output_schema", "tools"):
        unfolded.pop(key, None)
    if "output_schema" in content:
        unfolded["output_schema"] = json.loads(content["output_schema"])
        unfolded["order of output_schema"] = content["output_schema"]
    for position, tool in enumerate(content.get("tools", [])):
        key = f"tools[{position}]"
        unfolded[key] = {**tool, "parameters": json.loads(tool["parameters"])}
        unfolded[f"order of {key}.parameters"] = tool["parameters"]
    return unfolded


def _about(prompt: Prompt) -> dict[str, Any]:
    about: dict[str, Any] = prompt.model_dump(mode="json", include=set(_ABOUT), exclude_defaults=True)
    for name, variable in prompt.variables.items():
        notes = variable.model_dump(
            mode="json", include={"description", "examples", "untrusted"}, exclude_defaults=True
        )
        about |= {f"variables.{name}.{key}": value for key, value in notes.items()}
    return about


def _fields(old: dict[str, Any], new: dict[str, Any]) -> Iterator[FieldChange]:
    for key in dict.fromkeys((*old, *new)):
        if not key.startswith("order of "):
            changes = list(_walk(key, old.get(key, _ABSENT), new.get(key, _ABSENT)))
            order = f"order of {key if key == 'output_schema' else f'{key}.parameters'}"
            if not changes and old.get(order) != new.get(order):
                changes = [FieldChange(order, old.get(order), new.get(order))]
            yield from changes


class _Absent:
    """Marks a value that is not there; null is a value."""


_ABSENT = _Absent()


def _walk(key: str, old: Any, new: Any) -> Iterator[FieldChange]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from _walk(under(key, name), old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif _written(old) != _written(new):
        yield FieldChange(key, _written(old), _written(new))


def _written(value: Any) -> str | None:
    return None if value is _ABSENT else compact(value)
