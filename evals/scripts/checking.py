"""Operations of the limited process: Python's regular expressions, JSON Schemas."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, Final

from promptship.evals.scripts.failing import Failed

ERRORS_MAX: Final = 20
"""Of one value; more would help nobody."""
MESSAGE_CHARACTERS_MAX: Final = 300


def regex(head: dict[str, Any], body: bytes) -> bytes:
    """Python's `re.search`; the kernel's alarm ends catastrophic backtracking."""
    try:
        pattern = re.compile(head["pattern"])
    except (re.error, RecursionError, OverflowError) as error:
        raise Failed("the pattern is no regular expression", str(error), raised=True) from None
    return b"true" if pattern.search(json.loads(body)) else b"false"


def schema(head: dict[str, Any], body: bytes) -> bytes:
    """What is wrong with a value, as a list of texts. Never fetches a remote `$ref`."""
    from jsonschema.exceptions import SchemaError
    from referencing.exceptions import Unresolvable

    try:
        errors = _validator(head["schema"]).iter_errors(json.loads(body))
        found = []
        for error in errors:
            found.append(f"{error.json_path}: {error.message}"[:MESSAGE_CHARACTERS_MAX])
            if len(found) == ERRORS_MAX:
                break
    except Unresolvable as error:
        raise Failed("the schema refers to something that is not in it", str(error), raised=True) from None
    except SchemaError as error:
        raise Failed("the schema is no JSON Schema", error.message, raised=True) from None
    except re.error as error:
        raise Failed("a pattern of the schema is no regular expression", str(error), raised=True) from None
    except RecursionError:
        raise Failed("the schema or the value is nested too deeply", raised=True) from None
    return json.dumps(found).encode()


@lru_cache(maxsize=256)
def _validator(text: str) -> Any:
    from jsonschema.validators import validator_for
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]

    from promptship.evals.scripts.formats import checker

    content = json.loads(text)
    kind = validator_for(content)
    kind.check_schema(content)
    return kind(content, registry=REGISTRY, format_checker=checker())
