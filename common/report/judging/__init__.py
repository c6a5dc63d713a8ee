"""Verdicts: what the runs of the store say of each claim, judged in one place with one vocabulary.

The claims, their tests and their planned runs are in `common.report.protocol`. A verdict is an object; how it is shown on a
page is for the sections to say. One function for each study, each giving a verdict for each claim and evaluation set:

    judge_batch_size(group)       batch_size
    judge_rates(group)            best_rate_64, best_rate_128, shift, best_accuracy
    judge_reasons(comparison)     why_dropout_0, why_same_steps, why_linear, why_sqrt, why_best_rate
    judge_noise_scale(group)      one_curve, square_root, best_batch
    judge_spread(group)           spread_head, spread_order
    judge_cola(group, about)      cola
    judge_all(results)            all of them, over every group of the store
"""
from common.report.judging.verdict import Needed, Outcome, Verdict

__all__ = ["Needed", "Outcome", "Verdict"]
