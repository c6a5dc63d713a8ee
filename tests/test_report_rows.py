"""The report's section "Row by row" on filled stores: literal rows."""
from test_report import report, row

from common.store.schema import digest_of_output, labels, measurements, outputs
from common.studies.conditions import SEARCHED

LABELS = b"1" * 204 + b"0" * 204


def section(text):
    return text.split('## <a id="rows"></a>')[1].split('## <a id="appendix"></a>')[0]


def predict(fill, config, instance, wrong):
    """A finished run that is wrong on these rows."""
    content = bytes(each ^ 1 if place in wrong else each for place, each in enumerate(LABELS))
    run = fill.finish(config, instance, 1 - len(wrong) / 408)
    output = {"evaluation_set": "dev", "width": 1, "content": content}
    fill.insert(outputs, run=run, digest=digest_of_output(config.hash, instance, output), **output)
    return run


def test_without_predictions_there_is_nothing_to_say(fill):
    text = section(report())
    assert "No two finished runs of one configuration have predictions; runs of this version keep them." in text
    assert "No search is done yet" in text


def test_agreement_vote_and_rows_that_no_run_gets_right(fill):
    config = fill.plan("bs_mrpc", fill.checkpoint("mini"), "MRPC", 3)
    fill.insert(labels, data=config.data, set_name="dev", width=1, content=LABELS)
    # of 408 rows: 51 that no run gets right, and 51 more for each run alone
    for instance in range(3):
        predict(fill, config, instance, {*range(51), *range(51 * (instance + 1), 51 * (instance + 2))})
    text = section(report())
    # two runs differ on 102 rows; the vote is wrong on 51 alone
    assert row(text, "MRPC dev")[1:] == ["mini", "408", "1", "25.0", "+12.50"]
    cells = row(text, "batch 8 at 2e-5")
    # the runs agree to the last digit on 75 %; rows: the mean is 0 on 51, 2/3 on 153 and 1 on 204 of them
    assert [cells[place] for place in (1, 2, 4, 5, 6)] == ["3", "75.0 ± 0.0", "25.0", "87.5", "51 (12.5 %)"]
    # 1.966 sqrt(s^2 / 408 - interaction): s^2 = 0.1051, interaction 0.1254 / 3 / 408, so 1.966 sqrt(1.552e-4)
    assert cells[3] == "± 2.4"


def test_how_well_a_validation_split_chose(fill):
    checkpoint = fill.checkpoint("mini")
    for factor in SEARCHED:
        config = fill.plan("why_bs.best_rate.search", checkpoint, "MRPC", 2, batch_size=8, peak_learning_rate=2e-5 * factor)
        for instance in range(2):
            run = predict(fill, config, instance, range(102) if factor == 4 else range(204))
            fill.insert(measurements, run=run, split="validation", metric="accuracy", step=9, epoch=5,
                        value=0.7 if factor == 4 else 0.6)
        if factor == 4:
            fill.plan("why_bs.best_rate", checkpoint, "MRPC", 4, batch_size=8, peak_learning_rate=config.peak_learning_rate)
        if factor == 1:
            fill.plan("why_bs.as_is", checkpoint, "MRPC", 4, batch_size=8)
    fill.insert(labels, data=config.data, set_name="dev", width=1, content=LABELS)
    # 183 rows split off, 75 % right: sqrt(0.75 * 0.25 / 183); the chosen rate is right wherever another is
    assert row(section(report()), "MRPC, mini", "dev", "8")[3:] == ["8e-5", "183; 3.2", "0", "0.0 %", "0.00"]
