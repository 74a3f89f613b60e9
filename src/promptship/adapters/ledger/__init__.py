"""Releases, their hash-chained events and the routes they change: pure rules (`chain`, `moves`) and SQL around them.

Deliberately imports nothing: `adapters.memory` shares the rules and must not pay for SQLAlchemy.
"""
