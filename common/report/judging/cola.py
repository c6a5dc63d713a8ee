"""Why was CoLA left out? The likely answer: BERT-mini predicts one class for every sentence."""
import math

from common.report.judging.rules import was_seen
from common.report.judging.verdict import Outcome, Verdict, because
from common.report.protocol import CLAIMS
from common.report.results import Group

NORMAL_95 = 1.96
TASK = "CoLA"


def judge_cola(group: Group, about: str) -> list[Verdict]:
    """The verdict on the runs of CoLA by one recipe, or by Google's search; `about` says which."""
    claim, name = CLAIMS["cola"], "dev"
    runs = [run for cell in group.cells for run in cell.scored_runs(name)]
    planned = sum(max(claim.instances, cell.asked) for cell in group.cells)
    ended = sum(len(cell.ended) for cell in group.cells)
    outcome, reason = decide([run.evaluations[name] for run in runs])
    if any(len(cell.ended) < max(claim.instances, cell.asked) for cell in group.cells):
        outcome, reason = Outcome.SO_FAR, because("incomplete", ended=ended, planned=planned, scored=len(runs))
    return [Verdict(claim, outcome, group, name, about, scored=len(runs), planned=planned,
                    seen=sum(was_seen(run, group) for run in runs), reason=reason,
                    diverged=sum(len(cell.where_status("diverged")) for cell in group.cells))]


def decide(scored: list) -> tuple[Outcome, str]:
    """What rows of `evaluations` say of "BERT-mini predicts one class on CoLA", and why."""
    if not scored:
        return Outcome.UNDECIDED, because("no_score")
    collapsed = sum(row.collapsed for row in scored)
    if collapsed == len(scored):
        return Outcome.SUPPORTED, because("one_class", runs=len(scored))
    above = sum(not row.collapsed and row.matthews > NORMAL_95 / math.sqrt(row.row_count) for row in scored)
    if above == len(scored):
        return Outcome.CONTRADICTED, because("depends_on_label", runs=len(scored))
    return Outcome.UNDECIDED, because("mixed_classes", runs=len(scored), collapsed=collapsed, above=above)
