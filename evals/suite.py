"""From a suite file to a suite; every problem of the file is reported at once, with its line."""

from __future__ import annotations

import difflib
import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
import yaml
from jinja2 import TemplateError
from pydantic import ValidationError

from promptship.adapters.files import OnDisk
from promptship.errors import ConfigError, NotFound, Problem
from promptship.evals.assertions import NEEDS_JUDGE, AssertionSpec, BuildContext, Prepared, build
from promptship.evals.assertions.base import invalid
from promptship.evals.assertions.catalogue import KINDS, REDTEAM
from promptship.evals.assertions.judged_orders import RUBRICS_VERSION
from promptship.evals.assertions.script import SCRIPTS
from promptship.evals.cases import Case, Suite, Turn
from promptship.evals.document import Document, read_json_lines, read_yaml
from promptship.evals.suite_file import CaseFile, SuiteFile, TurnFile, suite_schema
from promptship.evals.suite_needs import missing_variables, needs
from promptship.evals.suite_shape import independent, line_of, shape_problems, without_misshapen
from promptship.ports import Tree
from promptship.prompts.model import Message
from promptship.prompts.templates import TooMuch, render_text

__all__ = ["Case", "Suite", "Turn", "load_suite", "suite_names", "suite_schema"]

SUFFIXES: Final = (".yaml", ".yml", ".jsonl", ".json")


def suite_names(tree: Tree, directory: str) -> tuple[str, ...]:
    """Names that `load_suite` would find, sorted."""
    prefix = directory.strip("/") + "/" if directory.strip("/") else ""
    found = (path.removeprefix(prefix) for path in tree.files() if path.startswith(prefix))
    return tuple(sorted({name.rpartition(".")[0] for name in found if name.endswith(SUFFIXES)}))


def load_suite(tree: Tree, directory: str, name: str) -> Suite:
    """The suite `<directory>/<name>` with one of the endings .yaml, .yml, .jsonl, .json.

    Raises:
        NotFound: no such file; names the nearest suite.
        ConfigError: everything that is wrong with it, at once.
    """
    present = set(tree.files())
    base = posixpath.normpath(posixpath.join(directory, name))
    paths = [base + suffix for suffix in SUFFIXES if base + suffix in present]
    if not paths:
        names = suite_names(tree, directory)
        near = difflib.get_close_matches(name, names, n=1)
        hint = (
            f"did you mean {near[0]}?"
            if near
            else f"there are: {', '.join(names)}"
            if names
            else "the directory has no suite"
        )
        raise NotFound(f"no suite {name!r} in {directory}/ of {tree.name}; {hint}")
    if len(paths) > 1:
        advice = "keep one of them"
        raise ConfigError(
            [Problem(paths[0], "", f"also {', '.join(paths[1:])}", "expected one file per suite", advice)]
        )
    return parse_suite(tree, paths[0], name)


def parse_suite(tree: Tree, path: str, name: str) -> Suite:
    """The suite in one file of the tree. Raises ConfigError, NotFound."""
    read = read_json_lines if path.endswith(".jsonl") else read_yaml
    document = read(path, tree.read(path))
    data = {"cases": document.data} if isinstance(document.data, list) else document.data
    if not isinstance(data, dict):
        got = "empty" if data is None else type(data).__name__
        raise ConfigError([Problem(path, "", got, "expected a mapping with `cases`, or a list of cases")])
    if data.get("cases") == []:
        raise ConfigError(
            [Problem(path, "cases", "empty", "expected at least one case", line=document.line("cases"))]
        )
    try:
        file = SuiteFile.model_validate(data)
    except ValidationError as error:
        problems = list(shape_problems(document, error))
        raise ConfigError([*problems, *_further_problems(tree, document, error, problems)]) from None
    return _Builder(tree, document, file).suite(name)


def _further_problems(
    tree: Tree, document: Document, error: ValidationError, problems: Sequence[Problem]
) -> Sequence[Problem]:
    """What else is wrong, as far as the rest of the file can be read: nobody should mend one line to be told of the next."""
    rest = without_misshapen(document, error)
    try:
        file = None if rest is None else SuiteFile.model_validate(rest)
    except ValidationError:
        return ()
    if file is None:
        return ()
    try:
        _Builder(tree, document, file).suite("")
    except ConfigError as more:
        return independent(more.problems, problems)
    return ()


class _Builder:
    """Builds the cases of one file and collects what is wrong with them."""

    def __init__(self, tree: Tree, document: Document, file: SuiteFile) -> None:
        self._tree = tree
        self._document = document
        self._file = file
        self._bare = isinstance(document.data, list)
        self._root = tree.directory / posixpath.dirname(document.path) if isinstance(tree, OnDisk) else None
        self._problems: dict[Problem, None] = {}
        self._built: dict[str, tuple[Prepared, tuple[Any, ...]]] = {}
        """Assertions by what they demand, each with the files it read."""
        self._demanded: list[Any] = []
        """What the present case demands, for its digest: specifications with rendered values, and the files they read."""

    def suite(self, name: str) -> Suite:
        cases = [self._case(number, case) for number, case in enumerate(self._file.cases)]
        self._refuse_double_ids(cases)
        if self._problems:
            raise ConfigError(self._problems)
        file = self._file
        return Suite(
            name=name,
            path=self._document.path,
            description=file.description,
            judge=file.judge,
            cases=tuple(cases),
            attacker=file.attacker,
            budget_usd=file.budget.usd_max if file.budget else None,
            slices=file.slices,
        )

    def _case(self, number: int, case: CaseFile) -> Case:
        key, defaults = f"cases[{number}]", self._file.defaults
        variables = {**defaults.vars, **case.vars}
        self._demanded = []
        turns = [self._turn(f"{key}.turns[{n}]", turn, variables) for n, turn in enumerate(case.turns)]
        last = turns.pop() if turns else Turn(user=None, asserts=())
        asserts = (
            *self._asserts("defaults", defaults.asserts, variables),
            *last.asserts,
            *self._asserts(key, case.asserts, variables),
        )
        turns.append(Turn(user=last.user, asserts=asserts))
        specs = (*defaults.asserts, *case.asserts, *(spec for turn in case.turns for spec in turn.asserts))
        if not any(spec.weight and spec.type != "human" for spec in specs):
            got = "missing, of weight 0, or for a person only"
            expected = "expected something the answer can fail"
            self._report(invalid("assert", got, expected, "it would always pass"), key)
        for error in missing_variables(specs, variables):
            self._report(error, key)
        if case.attack is not None and self._file.attacker is None:
            got, expected = "there", "needs an attacker"
            self._report(invalid("attack", got, expected, "add `attacker: {model: ...}` to the suite"), key)
        trials, passes_min = case.trials or defaults.trials, case.passes_min or defaults.passes_min
        if trials is not None and passes_min is not None and passes_min > trials:
            got, expected = str(passes_min), f"expected at most the {trials} trials of the case"
            self._report(invalid("passes_min", got, expected), key)
        messages = [
            message.model_copy(
                update={
                    "content": self._rendered(message.content, variables, f"{key}.messages[{n}]", "content")
                }
            )
            for n, message in enumerate(case.messages)
        ]
        return Case(
            id=case.id or f"case-{number + 1}", digest=self._digest(case, variables, messages, turns, key),
            vars=variables, messages=tuple(messages), turns=tuple(turns),
            severity=case.severity or defaults.severity, trials=trials, weight=case.weight,
            threshold=case.threshold, tags=case.tags, description=case.description, topic=case.topic,
            passes_min=passes_min, origin=case.origin, attack=case.attack,
            line=line_of(self._document, key, self._bare),
        )  # fmt: skip

    def _turn(self, key: str, turn: TurnFile, variables: Mapping[str, Any]) -> Turn:
        user = None if turn.user is None else self._rendered(turn.user, variables, key, "user")
        return Turn(user=user, asserts=self._asserts(key, turn.asserts, variables))

    def _asserts(
        self, key: str, specs: tuple[AssertionSpec, ...], variables: Mapping[str, Any]
    ) -> tuple[Prepared, ...]:
        prepared = []
        self._demanded.append(None)  # between the assertions of two turns
        for number, spec in enumerate(specs):
            where = f"{key}.assert[{number}]"
            try:
                prepared.append(self._assertion(spec, variables))
            except ConfigError as error:
                self._report(error, where)
        return tuple(prepared)

    def _assertion(self, spec: AssertionSpec, variables: Mapping[str, Any]) -> Prepared:
        spec = self._filled(spec, variables)
        demanded = spec.model_dump(exclude_defaults=True)
        self._demanded.append(demanded)
        # Most cases demand the same: one assertion, which never changes, serves them all.
        key = repr(demanded)
        if (known := self._built.get(key)) is None:
            at = len(self._demanded)
            prepared = build(spec, BuildContext(read=self._read, root=self._root))
            known = self._built[key] = prepared, tuple(self._demanded[at:])
        else:
            self._demanded += known[1]
        return known[0]

    def _filled(self, spec: AssertionSpec, variables: Mapping[str, Any]) -> AssertionSpec:
        """The specification, and those of its members, with the case's variables and the contents of files in them."""
        needs(spec, self._file.judge)
        name = spec.type.removeprefix("not-")
        value = spec.value
        if name not in SCRIPTS and isinstance(value, str) and value.startswith("file://"):
            value = self._file_value(value)
        # Code and schemas have doubled braces of their own, and scripts find the variables in `context`.
        if name not in KINDS or KINDS[name].templated:
            if isinstance(value, str):
                value = _render(value, variables)
            elif isinstance(value, list):
                value = [_render(item, variables) if isinstance(item, str) else item for item in value]
        members: list[AssertionSpec] = []
        problems: list[Problem] = []
        for number, member in enumerate(spec.asserts):
            try:
                members.append(self._filled(member, variables))
            except ConfigError as error:
                problems += [
                    replace(problem, key=f"assert[{number}].{problem.key}") for problem in error.problems
                ]
        if problems:
            raise ConfigError(problems)
        if value is spec.value and not members:
            return spec
        return spec.model_copy(update={"value": value, "asserts": tuple(members)})

    def _file_value(self, reference: str) -> object:
        name = reference.removeprefix("file://")
        content = self._read(name)
        if name.endswith((".json", ".yaml", ".yml")):
            try:
                return yaml.safe_load(content)
            except yaml.YAMLError as error:
                raise invalid(
                    "value", reference, f"expected JSON or YAML: {str(error).splitlines()[0]}"
                ) from None
        if name.endswith((".txt", ".md")):
            return content.rstrip("\n")
        raise invalid("value", reference, "expected a file that ends in .json, .yaml, .yml, .txt or .md")

    def _read(self, name: str) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self._document.path), name))
        if path.startswith(("../", "/")):
            raise invalid("value", f"file://{name}", "expected a file of this repository")
        try:
            text = self._tree.read(path).decode("utf-8-sig")
        except NotFound:
            raise invalid("value", f"file://{name}", f"expected a file; there is no {path}") from None
        except UnicodeDecodeError:
            raise invalid("value", f"file://{name}", "expected text in UTF-8") from None
        self._demanded.append([path, text])
        return text

    def _rendered(self, text: str, variables: Mapping[str, Any], where: str, key: str) -> str:
        try:
            return _render(text, variables, key)
        except ConfigError as error:
            self._report(error, where)
            return text

    def _refuse_double_ids(self, cases: list[Case]) -> None:
        first: dict[str, int] = {}
        for number, case in enumerate(cases):
            if case.id in first:
                self._report(
                    invalid("id", repr(case.id), f"is cases[{first[case.id]}] already", "ids are unique"),
                    f"cases[{number}]",
                )
            first.setdefault(case.id, number)

    def _digest(
        self,
        case: CaseFile,
        variables: Mapping[str, Any],
        messages: Sequence[Message],
        turns: Sequence[Turn],
        key: str,
    ) -> str:
        """Everything that can change a score; the judge too, since another judge is another score."""
        specs = (one for one in self._demanded if isinstance(one, dict))
        is_judged = self._file.judge is not None and any(map(_asks_judge, specs))
        judge = (self._file.judge.model_dump(), RUBRICS_VERSION) if self._file.judge and is_judged else None
        attacker = (
            None
            if case.attack is None or self._file.attacker is None
            else (case.attack.model_dump(), self._file.attacker.model_dump())
        )
        content = [
            variables,
            [message.model_dump() for message in messages],
            [turn.user for turn in turns],
            self._demanded,
            case.threshold,
            judge,
            attacker,
        ]
        try:
            return hashlib.sha256(
                orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME)
            ).hexdigest()
        except TypeError as error:
            self._report(invalid("vars", str(error), "expected values that JSON has"), key)
            return ""

    def _report(self, error: ConfigError, where: str) -> None:
        for problem in error.problems:
            key = f"{where}.{problem.key}"
            line = line_of(self._document, key, self._bare)
            # A dict, not a list: a default that is wrong is wrong once, not once per case.
            self._problems[replace(problem, file=self._document.path, key=key, line=line)] = None


def _asks_judge(spec: Mapping[str, Any]) -> bool:
    """Whether a judge may be asked for a specification or one of its members; red-team graders ask one where there is one."""
    name = spec["type"].removeprefix("not-")
    return name in NEEDS_JUDGE or name in REDTEAM or any(map(_asks_judge, spec.get("asserts", ())))


def _render(text: str, variables: Mapping[str, Any], key: str = "value") -> str:
    """Text with the case's variables in it. Raises ConfigError."""
    try:
        return render_text(text, variables)
    except (TemplateError, TooMuch) as error:
        raise invalid(key, repr(text)[:60], f"expected a template of the case's variables: {error}") from None
    except Exception as error:  # noqa: BLE001 - an expression may raise anything: 1 / 0
        raise invalid(
            key, repr(text)[:60], f"expected a template that renders: {type(error).__name__}: {error}"
        ) from None
