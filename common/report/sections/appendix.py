"""The appendix: what was trained and scored, by what recipe, on which machines; every run that no study shows; the sources."""
import dataclasses
from collections import Counter

from common.report import figures
from common.report.checkpoints import say_origin
from common.report.page import Markdown, Page, count, escape, show_percent
from common.report.results import Results, is_official
from common.report.templates import render
from common.studies.config import RunConfig
from common.studies.names import name_changes, show_rate

SHORT = 12
"""Digits of a digest that are shown: enough to tell it from others; the whole one is in the store."""
DEPENDENCIES = "dependencies.png"


def write(page: Page, results: Results) -> Markdown:
    """The whole appendix; to be written after all studies, which tell the page what they show."""
    usual = {spec.name: spec.default for spec in dataclasses.fields(RunConfig)}
    ax = figures.draw_dependencies(figures.new_axes("", height=2.6))
    return render("appendix", checkpoints=_list_checkpoints(results), data=_list_data(results), machines=_list_machines(results),
                  usual=usual, elsewhere=list_elsewhere(page, results), dependencies=page.draw(DEPENDENCIES, ax),
                  other_rows=not all(map(is_official, results.datasets)))


def list_elsewhere(page: Page, results: Results) -> list[dict]:
    """Finished runs that no table of a study shows, each configuration with the reason."""
    left = Counter(run.config for run in results.finished() if run.config not in page.shown)
    rows = []
    for key, number in sorted(left.items(), key=lambda item: (results.configs[item[0]].task, item[0])):
        config = results.configs[key]
        scores = [row.score for run in results.runs if run.config == key and run.counts for row in run.evaluations.values()
                  if row.score is not None]
        rows.append({"what": _say_setting(results, config), "runs": number, "reason": _say_reason(results, key),
                     "scores": ", ".join(map(show_percent, scores)) or None, "config": key[:SHORT]})
    return rows


def _say_setting(results: Results, config: RunConfig) -> str:
    words = [config.task, results.checkpoints[config.checkpoint].name, f"batch {config.batch_size} at "
             f"{show_rate(config.peak_learning_rate)}", count(config.epochs, "epoch"), name_changes(config)]
    return ", ".join(filter(None, words))


def _say_reason(results: Results, key: str) -> str:
    asked = sorted(study for study, configs in results.studies.items() if key in configs)
    if not asked:
        return "no study asks for it"
    if any(study.startswith("why_bs.") for study in asked):
        return f"{', '.join(asked)}: no runs as is of the same settings to compare with"
    return f"{', '.join(asked)}: this report has no section for it"


def _list_checkpoints(results: Results) -> list[dict]:
    finished = Counter(results.configs[run.config].checkpoint for run in results.finished())
    return [{"name": row.name,
             "text": {None: None, 0: "as it is", 1: "lowercased"}[row.lower_case],
             "size": f"{row.layers} x {row.hidden_size}, {count(row.heads, 'head')}, {row.vocabulary} word pieces",
             "digest": f"archive {row.archive_sha256[:SHORT]}" if row.archive_sha256 else f"content {row.digest[:SHORT]}",
             "origin": say_origin(row), "runs": finished[row.digest]} for row in results.checkpoints.values()]


def _list_data(results: Results) -> list[dict]:
    return [{"task": row.task, "set": row.set_name, "official": row.official_rows, "digest": row.digest[:SHORT],
             "rows": str(row.row_count) if is_official(row) else Markdown(f"**{row.row_count}**"),
             "majority": None if row.majority is None else show_percent(row.majority)} for row in results.datasets]


def _list_machines(results: Results) -> list[dict]:
    """What finished runs were trained with; revisions of the code are counted within."""
    used = Counter(run.environment for run in results.finished() if run.environment)
    machines = {}
    for digest, number in used.items():
        row = results.environments[digest]
        key = (f"{row.processor}, {count(row.cores, 'core')}, {count(row.threads, 'thread')} a run", row.platform,
               f"Python {row.python}, TensorFlow {row.tensorflow}, Model Garden {row.tf_models}, NumPy {row.numpy}")
        machines.setdefault(key, Counter())[row.code or "unknown"] += number
    return [{"machine": key[0], "platform": key[1], "software": key[2], "runs": codes.total(),
             "codes": Markdown(", ".join(f"{escape(code[:SHORT])} ({number})" for code, number in sorted(codes.items())))}
            for key, codes in sorted(machines.items())]
