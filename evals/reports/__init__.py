"""What a run looks like for people and for programs: text, Markdown, HTML; JSON, JSON lines, CSV, JUnit."""
