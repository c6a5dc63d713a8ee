"""The report: what the store holds, as one Markdown page with its figures.

    page.py        the page, and how numbers and foreign text are written
    results.py     what is read of the store, cut into groups that may be compared
    remarks.py     what a reader must know beside the numbers of a group
    published.py   what was published, and on which rows
    background.py  what stands around the studies: summary, input, machines, recipe, definitions, references
    cells.py       how a cell is shown in tables and figures
    html.py        the same page as self-contained HTML
    sections.py    what the sections of the studies have in common
    dependencies.py, all_glue.py, learning_rate.py, batch_size.py, why.py   a section each
    noise_scale.py, spread.py   parts of why.py's section
"""
from pathlib import Path

from common import UserError
from common.files import replace_file

TITLE = "Fine-tuning BERT-mini on GLUE: batch size and learning rate"
OPENING = ("This report redoes the 2020 StagedML study \"BERT fine-tuning experiments\": what do batch size and "
           "learning rate change about the scores that BERT-mini reaches on GLUE? Every number comes from the results "
           "store, from runs that are repeated with several instances and scored on every row of the evaluation set. "
           "Conclusions of the original are tested against these runs: supported, contradicted or undecided.")
SAMPLE = ("> **This is a sample and no result.** The store holds runs of the demo: texts written by a small grammar, "
          "and a checkpoint that was never pre-trained. Their numbers say nothing about BERT or GLUE.")


def build_report(store) -> tuple[str, dict[str, bytes]]:
    """The page as Markdown and its pictures (file name below `figures/` -> PNG); the same bytes for the same store."""
    from common.report.page import Page
    from common.report.results import read_results
    from common.report.sections import all_glue, background, batch_size, dependencies, learning_rate, why

    results = read_results(store)
    studies = Page("")
    for section in (all_glue, learning_rate, batch_size, why):
        section.write(studies, results)
    page = Page(TITLE)
    background.write_summary(page, studies.verdicts)
    background.write_input(page, results)
    background.write_machines(page, results)
    background.write_recipe(page)
    background.write_definitions(page)
    dependencies.write(page)
    page.append(studies)
    background.write_references(page)
    checkpoints = {results.configs[run.config].checkpoint for run in results.finished()}
    sample = any(background.is_demo(results.checkpoints[digest]) for digest in checkpoints)
    return page.markdown([SAMPLE, OPENING] if sample else [OPENING]), page.figures


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
        raise UserError(f"the report cannot be written to {error.filename or out}: {error.strerror or error}; mend "
                        "that or name another place with --out") from error
