"""How the page opens: the answer, the figure that shows it, and one line for each claim or question."""
from statistics import fmean

from common.report.checkpoints import say_origin
from common.report.claims import Line, pick_same_place, show_line
from common.report.judging import Verdict
from common.report.page import FEWEST, Markdown, Page, show_scores
from common.report.results import Group, Results
from common.report.sections import batch_size, learning_rate
from common.report.sections.why import REASONS
from common.report.templates import render


def write(page: Page, results: Results, claims: dict[str, Line]) -> Markdown:
    """The page's beginning; to be written last, when the figures are known."""
    first, figure, ranked_group, cells = claims["batch_size"].best, None, None, []
    if first:
        claims = {key: line.without_name(first.group.checkpoint) for key, line in claims.items()}
        first = claims["batch_size"].best
        figure = batch_size.name_figure(first.group, first.evaluation_set)
        ranked_group, cells = _rank_widest(first, claims["one_curve"])
    return render("overview", claims=claims, first=first, origin=first and say_origin(first.group.checkpoint),
                  rates=learning_rate.say_answer(claims), reasons=pick_same_place([claims[key] for key in REASONS]),
                  figure=figure if figure in page.figures else None, cells=cells, ranked_group=ranked_group,
                  lines=[show_line(line) for line in claims.values()])


def _rank_widest(first: Verdict, curve: Line) -> tuple[Group, list[dict]]:
    """The group of this checkpoint with the most combinations of batch size and rate, and these, the best first."""
    verdicts = [first, *(each for each in curve.verdicts if each.group.checkpoint.digest == first.group.checkpoint.digest)]
    ranked = [(each.group, _rank(each.group, each.evaluation_set)) for each in verdicts]
    return max(ranked, key=lambda found: len(found[1]))


def _rank(group: Group, evaluation_set: str) -> list[dict]:
    """Batch sizes and rates with three runs or more, the highest mean first, whatever their data order."""
    scores = {}
    for cell in group.cells:
        key = cell.config.batch_size, cell.config.peak_learning_rate
        scores.setdefault(key, []).extend(row.score for row in cell.scored(evaluation_set))
    ranked = sorted(((key, each) for key, each in scores.items() if len(each) >= FEWEST), key=lambda item: -fmean(item[1]))
    return [{"size": size, "rate": rate, "score": show_scores(each, len(each))} for (size, rate), each in ranked]
