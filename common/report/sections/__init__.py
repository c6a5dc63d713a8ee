"""What the sections of the studies have in common: how they open, and what they say of an empty study."""
from collections.abc import Callable

from common.report.page import Page
from common.report.results import Group, Results


def say_empty(command: str, what: str = "study") -> str:
    """The one line of a study of which the store holds nothing; `command` fills it."""
    return f"The store holds nothing of this {what}; `{command}` fills it."


def write_groups(page: Page, results: Results, groups: list[Group], command: str,
                 write_group: Callable[[Page, Results, Group], None]) -> bool:
    """Every group of a study, or the line that there is none; says whether there is any."""
    if not groups:
        page.text(say_empty(command))
    for group in groups:
        write_group(page, results, group)
    return bool(groups)
