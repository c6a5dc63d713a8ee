"""Verdicts: what the runs of the store say of each claim, judged in one place with one vocabulary.

The claims, their tests and their planned runs are in `common.report.protocol`; `rules.py` has what all claims share. A verdict
is an object; how it is shown on a page is for the sections to say. One function for each study, each giving a verdict for each
claim and evaluation set:

    judge_batch_size(group)       batch_size
    judge_rates(group)            best_rate_64, best_rate_128, shift, best_accuracy
    judge_reasons(comparison)     why_dropout_0, why_same_steps, why_linear, why_sqrt, why_best_rate
    judge_noise_scale(group)      one_curve, square_root, best_batch
    judge_spread(group)           spread_head, spread_order
    judge_cola(group, about)      cola
    judge_study(results, study)   those of one study, over every group of the store
    judge_all(results)            those of every study
"""
from collections.abc import Iterator

from common.report.comparisons import STUDY as WHY
from common.report.comparisons import find_comparisons
from common.report.judging import batch_size, learning_rate, noise_scale, spread
from common.report.judging.batch_size import judge_batch_size
from common.report.judging.cola import TASK as COLA
from common.report.judging.cola import judge_cola
from common.report.judging.learning_rate import judge_rates
from common.report.judging.noise_scale import judge_noise_scale
from common.report.judging.reasons import judge_reasons
from common.report.judging.spread import judge_spread
from common.report.judging.verdict import Needed, Outcome, Verdict
from common.report.protocol import CLAIMS
from common.report.results import Results

__all__ = ["Needed", "Outcome", "Verdict", "judge_all", "judge_batch_size", "judge_cola", "judge_noise_scale", "judge_rates",
           "judge_reasons", "judge_spread", "judge_study"]

MODULES = {batch_size.STUDY: (batch_size, judge_batch_size), learning_rate.STUDY: (learning_rate, judge_rates),
           spread.STUDY: (spread, judge_spread)}
"""Studies whose groups are judged one by one."""
WITH_COLA = {"allglue": (("batch_size",), "one recipe"),
             "allglue_upstream": (("batch_size", "peak_learning_rate"), "Google's search")}
"""Studies that train CoLA -> what they vary, and what a verdict calls them."""
STUDIES = (*MODULES, WHY, *WITH_COLA)


def judge_study(results: Results, study: str) -> list[Verdict]:
    """The verdicts on every group of a study, in the order of the claims; that of the reasons has the noise scale's, too."""
    order = list(CLAIMS)
    return sorted(_judge(results, study), key=lambda verdict: order.index(verdict.claim.key))


def judge_all(results: Results) -> list[Verdict]:
    """Every verdict on every group of the store, in the order of the claims."""
    order = list(CLAIMS)
    return sorted((verdict for study in STUDIES for verdict in _judge(results, study)),
                  key=lambda verdict: order.index(verdict.claim.key))


def _judge(results: Results, study: str) -> Iterator[Verdict]:
    if study in MODULES:
        module, judge = MODULES[study]
        for group in results.groups(study, module.VARIED, module.PUBLISHED):
            yield from judge(group)
    elif study == WHY:
        for comparison in find_comparisons(results):
            yield from judge_reasons(comparison)
        for group in noise_scale.find_groups(results):
            yield from judge_noise_scale(group)
    elif study in WITH_COLA:
        varied, about = WITH_COLA[study]
        for group in results.groups(study, varied, {"epochs": 4, "peak_learning_rate": 2e-5}):
            yield from judge_cola(group, about) if group.task == COLA else ()
