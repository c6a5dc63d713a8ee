"""The sections of the report: for each a template with its words and a module that computes what they show.

A section module has `write(page, results, claims)`, which gives its Markdown; `claims` are the lines of `list_claims` by key.
"""
from collections.abc import Mapping

from common.report.claims import Line, show_claims, weakness_of
from common.report.judging import Verdict
from common.report.results import Group


def pick_claims(claims: Mapping[str, Line], *keys: str) -> dict:
    """What a section shows of its claims."""
    return show_claims([claims[key] for key in keys])


def from_strongest(groups: list[Group], best: Verdict | None = None) -> list[Group]:
    """Groups with a finished run in the order of their evidence, then those without any.

    Args:
      best: the verdict that the page shows, whose group comes first.
    """
    return sorted(groups, key=lambda group: (best is None or group.id != best.group.id, not group.finished, weakness_of(group)))
