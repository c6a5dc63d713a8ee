"""How much of the spread between runs comes from the head's initial values and how much from data order."""
from common.report.checkpoints import say_origin
from common.report.claims import Line
from common.report.judging.spread import PUBLISHED, STUDY, VARIED, find_table, name_order
from common.report.page import Markdown, Page, show_p, show_percent
from common.report.protocol import LEVEL
from common.report.remarks import list_mixed, list_remarks
from common.report.results import Group, Results
from common.report.sections import from_strongest, pick_claims
from common.report.statistics import Component, Crossed, cross
from common.report.templates import render

COMMAND = "python exp_why_bs.py --grid crossed"
FACTORS = ("the head's initial values", "data order and dropout masks")


def write(page: Page, results: Results, claims: dict[str, Line]) -> Markdown:
    """The whole subsection; one line where the store holds nothing of the study."""
    groups = from_strongest(results.groups(STUDY, VARIED, PUBLISHED))
    return render("spread", command=COMMAND, groups=[_describe(page, results, group) for group in groups],
                  claims=pick_claims(claims, "spread_head", "spread_order"), head=claims["spread_head"],
                  order=claims["spread_order"])


def say_larger(found: Crossed) -> Markdown:
    """Which of the two factors has the larger share, as far as the runs can tell."""
    if found.p >= LEVEL:
        return Markdown(f"Which of the two is larger is undecided (p {show_p(found.p)}).")
    larger, smaller = FACTORS if found.rows.f > found.columns.f else FACTORS[::-1]
    return Markdown(f"The larger of the two is {larger}, not {smaller} (p {show_p(found.p)}).")


def _describe(page: Page, results: Results, group: Group) -> dict:
    page.show(group.cells)
    command = COMMAND + ("" if group.task == PUBLISHED["task"] else f" --task {group.task}")
    return {"group": group, "config": group.cells[0].config, "origin": say_origin(group.checkpoint),
            "remarks": list_remarks(group, name_order, command),
            "mixed": list_mixed(group.cells, results),
            "sets": [_describe_set(group, name) for name in group.evaluation_sets]}


def _describe_set(group: Group, evaluation_set: str) -> dict:
    heads, orders, scores = find_table(group.cells, evaluation_set)
    found = cross(scores) if scores else None
    return {"name": evaluation_set, "heads": len(heads), "orders": len(orders), "larger": say_larger(found) if found else None,
            "scores": [{"head": f"head {head}"} | dict(zip(map(str, orders), map(show_percent, row), strict=True))
                       for head, row in zip(heads, scores, strict=True)],
            "columns": {"": "head"} | {f"order {order}": str(order) for order in orders},
            "parts": _list_parts(found) if found else []}


def _list_parts(found: Crossed) -> list[dict]:
    parts = dict(zip(FACTORS, (found.rows, found.columns), strict=True))
    total = sum(max(0.0, part.variance) for part in parts.values()) + found.residual
    return [{"part": name, **_show_variance(part.variance, total), **_show_test(part)} for name, part in parts.items()] + [
        {"part": "the rest", **_show_variance(found.residual, total), "ratio": None, "test": None}]


def _show_test(part: Component) -> dict:
    return {"ratio": f"{part.ratio[0]:.2f} to {part.ratio[1]:.2f}", "test": Markdown(f"F = {part.f:.2f}, p {show_p(part.p)}")}


def _show_variance(variance: float, total: float) -> dict:
    if variance < 0:
        return {"sd": Markdown("0 (estimate below 0)"), "share": "0.0"}
    return {"sd": f"{100 * variance ** 0.5:.2f}", "share": show_percent(variance / total) if total else None}
