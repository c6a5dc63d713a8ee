"""Smith and Le's claim, shown on all runs of the store: what counts of rate and batch size is rate x rows / batch size."""
from common.inputs.batches import count_training_rows
from common.report import figures
from common.report.cells import METRICS, name_file
from common.report.claims import Line
from common.report.judging.noise_scale import LEAST, find_groups, is_testable
from common.report.judging.rules import has_majority
from common.report.page import Markdown, Page, show_scores
from common.report.results import Cell, Group, Results
from common.report.sections import from_strongest, pick_claims
from common.report.statistics import Correlation, rank_correlation
from common.report.templates import render, say
from common.studies.names import show_rate


def write(page: Page, results: Results, claims: dict[str, Line]) -> Markdown:
    """The whole subsection; one line where no group has runs enough."""
    groups = from_strongest(find_groups(results), claims["one_curve"].best)
    places = [(group, name) for group in groups for name in group.evaluation_sets if is_testable(group, name)]
    return render("noise_scale", least=LEAST, places=[_describe(page, group, name, claims) for group, name in places],
                  claims=pick_claims(claims, "one_curve", "square_root", "best_batch"), curve=claims["one_curve"],
                  growth=claims["best_batch"])


def list_points(group: Group, evaluation_set: str) -> list[tuple[Cell, float]]:
    return [(cell, row.score) for cell in group.cells for row in cell.scored(evaluation_set)]


def noise_scale(group: Group, cell: Cell) -> float:
    """Peak rate x rows of the training split / batch size."""
    rows, config = group.sets["train"].row_count, cell.config
    return (config.peak_learning_rate * count_training_rows(min(rows, config.limit_train or rows), config.validation)
            / config.batch_size)


def list_best_batches(group: Group, evaluation_set: str) -> list[dict]:
    """At each rate that was run with two batch sizes or more, those of the highest means."""
    rows = []
    for rate in sorted({cell.config.peak_learning_rate for cell in group.cells}):
        scores = {}
        for cell in group.cells:
            if cell.config.peak_learning_rate == rate and cell.scored(evaluation_set):
                scores.setdefault(cell.config.batch_size, []).extend(row.score for row in cell.scored(evaluation_set))
        ranked = sorted(scores.items(), key=lambda item: -sum(item[1]) / len(item[1]))
        if len(ranked) > 1:
            shown = [Markdown(f"{size}: {show_scores(values, len(values))}") for size, values in ranked[:2]]
            rows.append({"rate": show_rate(rate), "sizes": ", ".join(map(str, sorted(scores))), "best": shown[0],
                         "second": shown[1]})
    return rows


def _describe(page: Page, group: Group, evaluation_set: str, claims: dict[str, Line]) -> dict:
    points = list_points(group, evaluation_set)
    correlation = rank_correlation([noise_scale(group, cell) for cell, _ in points], [score for _, score in points])
    return {"group": group, "set": evaluation_set, "runs": len(points), "config": group.cells[0].config,
            "row_count": group.sets[evaluation_set].row_count, "metric": METRICS[group.metric],
            "correlation": _show_correlation(correlation), "best": list_best_batches(group, evaluation_set),
            "figure": page.draw(name_file("noise_scale", group, f"{group.task} {evaluation_set}"),
                                _draw(group, evaluation_set, claims))}


def _show_correlation(correlation: Correlation | None) -> Markdown | None:
    if correlation is None:
        return None
    return Markdown(f"{correlation.r:+.2f} [{correlation.low:+.2f}, {correlation.high:+.2f}]".replace("-", "−"))


def _draw(group: Group, evaluation_set: str, claims: dict[str, Line]):
    points = list_points(group, evaluation_set)
    clouds = {size: [(noise_scale(group, cell), 100 * score) for cell, score in points if cell.config.batch_size == size]
              for size in sorted({cell.config.batch_size for cell, _ in points})}
    verdict = next((each for each in claims["one_curve"].verdicts
                    if each.group.id == group.id and each.evaluation_set == evaluation_set), None)
    title = say("figure_noise_scale", plain=True, subject=group.name_set(evaluation_set), verdict=verdict, group=group,
                runs=len(points))
    ax = figures.new_axes(title)
    ax.set_xlabel("noise scale: peak rate x training rows / batch size")
    ax.set_ylabel(f"evaluation {METRICS[group.metric]}")
    figures.draw_clouds(ax, clouds)
    if has_majority(group, evaluation_set):
        figures.draw_majority(ax, 100 * group.sets[evaluation_set].majority)
    return figures.add_legend(ax)
