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
    judge_all(results)            all of them, over every group of the store
"""
from common.report import protocol
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
from common.report.results import Results

__all__ = ["Needed", "Outcome", "Verdict", "judge_all", "judge_batch_size", "judge_cola", "judge_noise_scale", "judge_rates",
           "judge_reasons", "judge_spread"]

SEARCHES = {"allglue": ("batch_size",), "allglue_upstream": ("batch_size", "peak_learning_rate")}
"""Studies that train CoLA -> what they vary."""
ABOUT = {"allglue": "one recipe", "allglue_upstream": "Google's search"}


def judge_all(results: Results) -> list[Verdict]:
    """Every verdict on every group of the store, in the order of the claims."""
    found = []
    for module, judge in ((batch_size, judge_batch_size), (learning_rate, judge_rates), (spread, judge_spread)):
        found += [verdict for group in results.groups(module.STUDY, module.VARIED, module.PUBLISHED) for verdict in judge(group)]
    found += [verdict for comparison in find_comparisons(results) for verdict in judge_reasons(comparison)]
    found += [verdict for group in noise_scale.find_groups(results) for verdict in judge_noise_scale(group)]
    found += [verdict for study, varied in SEARCHES.items()
              for group in results.groups(study, varied, {"epochs": 4, "peak_learning_rate": 2e-5}) if group.task == COLA
              for verdict in judge_cola(group, ABOUT[study])]
    order = list(protocol.CLAIMS)
    return sorted(found, key=lambda verdict: order.index(verdict.claim.key))
