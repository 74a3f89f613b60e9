"""The words of each kind of provider: requests and answers as values, without any connection."""

from promptship.adapters.providers.dialects.anthropic import MESSAGES
from promptship.adapters.providers.dialects.azure import AZURE_CHAT, AZURE_COMPLETIONS, AZURE_RESPONSES
from promptship.adapters.providers.dialects.bedrock import CONVERSE
from promptship.adapters.providers.dialects.call import Dialect, HttpCall, Target
from promptship.adapters.providers.dialects.gemini import GEMINI
from promptship.adapters.providers.dialects.openai_chat import CHAT
from promptship.adapters.providers.dialects.openai_completions import COMPLETIONS
from promptship.adapters.providers.dialects.openai_responses import RESPONSES

__all__ = [
    "AZURE_CHAT",
    "AZURE_COMPLETIONS",
    "AZURE_RESPONSES",
    "CHAT",
    "COMPLETIONS",
    "CONVERSE",
    "GEMINI",
    "MESSAGES",
    "RESPONSES",
    "Dialect",
    "HttpCall",
    "Target",
]
