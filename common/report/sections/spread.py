"""How much of the spread between runs comes from the head's initial values and how much from data order."""
from common.report.page import MISSING, Page, escape, show_p, show_percent
from common.report.remarks import equals_majority, has_majority, list_remarks, say_so_far
from common.report.results import Cell, Group, Results
from common.report.sections import say_empty
from common.report.sections.background import say_origin
from common.report.statistics import Component, Crossed, cross, holm
from common.studies.names import show_rate

STUDY = "spread"
COMMAND = "python exp_why_bs.py --grid crossed"
PUBLISHED = {"task": "MRPC", "epochs": 5, "peak_learning_rate": 2e-5, "batch_size": 16}
LEVEL = 0.05
FACTORS = ("the head's initial values", "data order and dropout masks")


def write(page: Page, results: Results) -> None:
    """The whole subsection; one line where the store holds nothing of the study."""
    page.heading("Where does the spread between runs come from?", "why-spread", level=3)
    page.text(f"`{COMMAND}` trains five heads with each of five data orders at batch size 16, after Dodge et al. 2020, who find "
              "that both contribute comparably. An order here comes with dropout masks of its own. The score of a run is taken "
              "as mean + head + order + the rest, all random: a two-way crossed design with one run in each cell. The rest is "
              "what heads and orders do not add up to; training is deterministic, so it is their interaction. The rule: a "
              f"factor's share in the variance is **supported** where its F test has p below {LEVEL:g}, corrected by Holm's "
              "method for two factors, else undecided: a share of 0 cannot be proved. Which of the two is larger is decided by "
              "the two-sided F test of their mean squares. Variances by the method of moments: an estimate below 0 says that "
              "there is less than chance alone would give, and counts as 0 in the shares. Their intervals are wide: five "
              "levels say "
              "little about a variance.")
    groups = results.groups(STUDY, ("order",), PUBLISHED)
    if not groups:
        page.text(say_empty(COMMAND, "design"))
    for group in groups:
        _write_group(page, results, group)


def _write_group(page: Page, results: Results, group: Group) -> None:
    config = group.cells[0].config
    page.heading(f"Spread: {escape(group.title)}", f"why-spread-{group.id}", level=4)
    page.text(f"Checkpoint: {say_origin(group.checkpoint)}. {escape(group.task)}, batch size {config.batch_size}, peak rate "
              f"{show_rate(config.peak_learning_rate)}, {config.epochs} epochs.")
    command = COMMAND + ("" if group.task == PUBLISHED["task"] else f" --task {escape(group.task)}")
    page.items(list_remarks(group, results, lambda cell: f"order {cell.config.order}", command))
    for evaluation_set in group.evaluation_sets:
        heads, orders, table = find_table(group, evaluation_set)
        if table:
            page.table([f"set {escape(evaluation_set)}", *(f"order {order}" for order in orders)],
                       [[f"head {head}", *map(show_percent, row)] for head, row in zip(heads, table, strict=True)])
        _write_components(page, group, evaluation_set, table)


def find_table(group: Group, evaluation_set: str) -> tuple[list[int], list[int], list[list[float]]]:
    """Heads, orders, and the score of every head with every order: the heads that are scored in all orders that have any."""
    scores = {cell.config.order: cell.scores(evaluation_set) for cell in group.cells if cell.scores(evaluation_set)}
    if not scores:
        return [], [], []
    heads = sorted(set.intersection(*map(set, scores.values())))
    return heads, list(scores), [[each[head] for each in scores.values()] for head in heads]


def _write_components(page: Page, group: Group, evaluation_set: str, table: list[list[float]]) -> None:
    found = cross(table)
    flat = has_majority(group, evaluation_set) and all(equals_majority(group, cell, evaluation_set) for cell in _scored(
        group, evaluation_set))
    if found is None or flat:
        page.text("**undecided**: too few heads or orders, or no spread to test" + say_so_far(group) + ".")
        return
    parts = dict(zip(FACTORS, (found.rows, found.columns), strict=True))
    corrected = holm([part.p for part in parts.values()])
    total = sum(max(0.0, part.variance) for part in parts.values()) + found.residual
    runs = str(sum(map(len, table)))
    rows = []
    for (name, part), p in zip(parts.items(), corrected, strict=True):
        verdict = ("**supported**" if p < LEVEL else f"**undecided** at {len(table)} x {len(table[0])}") + say_so_far(group)
        rows.append([name, *_show_component(part, total), f"F = {part.f:.2f}, p {show_p(p)}", verdict])
        page.verdict(f"{name} add to the spread between runs (Dodge et al. 2020)", escape(group.title),
                     f"{escape(group.task)} {escape(evaluation_set)}", runs, verdict, f"why-spread-{group.id}")
    rows.append(["the rest", *_show_variance(found.residual, total), MISSING, MISSING, MISSING])
    page.table(["part", "standard deviation, points", "share of the variance, %", "as a multiple of the rest, 95 % interval",
                "test, corrected", "its share is"], rows)
    page.text(say_larger(found) + f" Heads {len(table)}, orders {len(table[0])}.")


def _scored(group: Group, evaluation_set: str) -> list[Cell]:
    return [cell for cell in group.cells if cell.scored(evaluation_set)]


def _show_component(part: Component, total: float) -> list[str]:
    return [*_show_variance(part.variance, total), f"{part.ratio[0]:.2f} to {part.ratio[1]:.2f}"]


def _show_variance(variance: float, total: float) -> list[str]:
    if variance < 0:
        return ["0 (estimate below 0)", "0.0"]
    return [f"{100 * variance ** 0.5:.2f}", show_percent(variance / total)]


def say_larger(found: Crossed) -> str:
    """Which of the two factors has the larger share, as far as the runs can tell."""
    if found.p >= LEVEL:
        return f"Which of the two is larger is **undecided** (p {show_p(found.p)})."
    larger, smaller = FACTORS if found.rows.f > found.columns.f else FACTORS[::-1]
    return f"The larger of the two is {larger}, not {smaller} (p {show_p(found.p)})."
