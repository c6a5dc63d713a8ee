"""The report: what the store holds, as one Markdown page with its figures.

    results.py      what is read of the store, cut into groups that may be compared
    comparisons.py  which runs stand for each condition of exp_why_bs.py
    protocol.py     every claim, and how it is tested; judging/ gives the verdicts
    statistics.py   intervals and tests
    claims.py       verdicts as the page shows them, the strongest evidence first
    published.py    what was published, and on which rows
    remarks.py      what a reader must know beside the numbers of a group
    checkpoints.py, cells.py, page.py   how checkpoints, cells, numbers and foreign text are shown
    templates.py    the words: Markdown templates, and what they may call
    figures.py      the drawings
    sections/       the page, section by section: a template with its words, and what it shows
    html.py         the same page as self-contained HTML
    tensorboard.py  curves of runs as event files
"""
from pathlib import Path

from common import UserError
from common.files import replace_file
from common.store.store import Store


def build_report(store: Store) -> tuple[str, dict]:
    """The page as Markdown and its figures (file name below `figures/` -> matplotlib's figure); the same for the same store.

    To draw the figures takes half of a report's time: `draw_figures`.
    """
    from common.report.checkpoints import is_demo
    from common.report.claims import list_claims, pick_same_place
    from common.report.judging import judge_all
    from common.report.page import Markdown, Page
    from common.report.results import read_results
    from common.report.sections import all_glue, appendix, batch_size, learning_rate, overview, rows, why
    from common.report.templates import list_contents, render

    results, page = read_results(store), Page()
    claims = {line.claim.key: line for line in list_claims(judge_all(results))}
    claims |= {line.claim.key: line for line in pick_same_place([claims[key] for key in why.REASONS])}
    sections = (batch_size, learning_rate, why, all_glue, rows)
    studies = Markdown("\n\n".join(section.write(page, results, claims) for section in sections))
    end = appendix.write(page, results)
    checkpoints = {results.configs[run.config].checkpoint for run in results.finished()}
    text = render("page", sample=any(is_demo(results.checkpoints[digest]) for digest in checkpoints),
                  overview=overview.write(page, results, claims), contents=list_contents(f"{studies}\n\n{end}"),
                  studies=studies, appendix=end)
    return f"{text}\n", page.figures


def draw_figures(figures: dict) -> dict[str, bytes]:
    """Pictures of the figures: file name below `figures/` -> PNG, the same bytes for the same store."""
    from common.report.figures import to_png

    return {name: to_png(figure) for name, figure in figures.items()}


def write_report(text: str, figures: dict[str, bytes], out: Path, *, html: bool = False) -> None:
    """Writes the figures into `figures/` beside `out`, then `out`; each is the old file or the new one, never half.

    Args:
      html: write the page as HTML beside it, too.

    Raises:
      UserError: a file cannot be written.
    """
    if out.suffix != ".md":
        raise UserError(f"the report is Markdown; name a file that ends in .md with --out, not {out}")
    if not out.parent.is_dir():
        raise UserError(f"the folder of the report {out} does not exist; create it or name another place with --out")
    folder = out.parent / "figures"
    try:
        if figures:
            folder.mkdir(exist_ok=True)
        for name, picture in sorted(figures.items()):
            replace_file(folder / name, picture)
        replace_file(out, text.encode())
        if html:
            from common.report.html import to_html

            replace_file(out.with_suffix(".html"), to_html(text, figures).encode())
    except OSError as error:
        raise UserError(f"the report cannot be written to {error.filename or out}: {error.strerror or error}; fix "
                        "that or name another place with --out") from error
