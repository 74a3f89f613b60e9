"""Release prompts the way you release code: lint, regress, canary, approve, promote or roll back."""

__version__ = "0.1.0"
