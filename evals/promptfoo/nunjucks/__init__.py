"""Nunjucks templates with JavaScript's meaning: own parser and closures, so a template reaches data and nothing of Python."""

from __future__ import annotations

from promptship.evals.promptfoo.nunjucks.engine import Nunjucks
from promptship.evals.promptfoo.nunjucks.values import TemplateError

__all__ = ["Nunjucks", "TemplateError"]
