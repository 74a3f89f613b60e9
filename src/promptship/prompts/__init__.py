"""The artifact: load, dump, identify, render and compare prompts. Pure."""

from promptship.prompts.diff import Change, FieldChange, Hunk, MessageDiff, Op, PromptDiff, diff
from promptship.prompts.diff_text import to_markdown, to_text
from promptship.prompts.digest import canonical, digest, from_canonical, short
from promptship.prompts.dump import dump
from promptship.prompts.load import FORMATS, is_prompt_path, load
from promptship.prompts.model import (
    Loaded,
    Message,
    Prompt,
    RiskClass,
    SourceMap,
    Tool,
    Variable,
    VariableType,
)
from promptship.prompts.render import Rendered, check_variables, render, template_error, variables_used
from promptship.prompts.schema import prompt_schema
from promptship.prompts.variables import misfit

__all__ = [
    "FORMATS",
    "Change",
    "FieldChange",
    "Hunk",
    "Loaded",
    "Message",
    "MessageDiff",
    "Op",
    "Prompt",
    "PromptDiff",
    "Rendered",
    "RiskClass",
    "SourceMap",
    "Tool",
    "Variable",
    "VariableType",
    "canonical",
    "check_variables",
    "diff",
    "digest",
    "dump",
    "from_canonical",
    "is_prompt_path",
    "load",
    "misfit",
    "prompt_schema",
    "render",
    "short",
    "template_error",
    "to_markdown",
    "to_text",
    "variables_used",
]
