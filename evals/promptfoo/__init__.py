"""Reads and runs promptfoo's configurations: what they mean is what promptfoo does with them, said in `docs/promptfoo.md`."""
