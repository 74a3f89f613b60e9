"""Verdicts, releases and numbers as text, Markdown and cards: one voice for terminal, Slack, web and artifacts."""
