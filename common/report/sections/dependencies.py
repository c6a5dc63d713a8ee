"""The section "What depends on what"."""
from common.report.page import Page

GRAPH = """```
GLUE files ──────> rows ────────┬──> token ids ───┐
checkpoint ───┬──> vocabulary ──┘                 │
              └──> weights ───────────────────────┼──> run ──> store ──> report
configuration ───> hyperparameters, split, order ─┤
instance ────────> initial values of the head ────┘
```"""


def write(page: Page) -> None:
    """From the files to this page, and what makes a run another run."""
    page.heading("What depends on what", "dependencies")
    page.text(GRAPH)
    page.items([
        "A run is known by its configuration and its instance. The configuration holds the digests of the rows and of "
        "the checkpoint and every hyperparameter: where one differs it is another run, never the old one under a new name.",
        "Every study draws on the same runs: what two of them ask for is trained once.",
        "This page depends on the store alone; no file of GLUE and no checkpoint is read for it.",
    ])
