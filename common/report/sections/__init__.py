"""The sections of the report: for each a template with its words and a module that computes what they show.

A section module has `write(page, results, claims)`, which gives its Markdown; `claims` are the lines of `list_claims` by key.
"""
from collections.abc import Mapping

from common.report.claims import Line, show_claims, weakness_of
from common.report.results import Group


def pick_claims(claims: Mapping[str, Line], *keys: str) -> dict:
    """What a section shows of its claims."""
    return show_claims([claims[key] for key in keys])


def from_strongest(groups: list[Group]) -> list[Group]:
    """Groups with a finished run in the order of their evidence, then those without any."""
    return sorted(groups, key=lambda group: (not group.finished, weakness_of(group)))
