"""Fields of the recipe set from the command line, and what they are called afterwards."""
import pytest
from stand_in import make_config

from common import UserError
from common.studies.names import count, name_run, show_rate
from common.studies.settings import describe_fields, parse_setting, parse_sweep

NAMES = ("epochs, steps, max_length, warmup, end_learning_rate, dropout, weight_decay, beta_1, beta_2, epsilon, clip_norm, "
         "validation, split_seed, seed, vary, dtype, limit_train, order")


@pytest.mark.parametrize("text, setting", [
    ("dropout=0", ("dropout", 0.0)), ("epsilon=1e-8", ("epsilon", 1e-8)), ("steps=100", ("steps", 100)),
    ("steps=none", ("steps", None)), ("vary=head,order", ("vary", "head,order")), ("dtype=bfloat16", ("dtype", "bfloat16")),
    ("seed=7", ("seed", 7))])
def test_a_setting(text, setting):
    assert parse_setting(text) == setting
    assert type(parse_setting(text)[1]) is type(setting[1])


@pytest.mark.parametrize("text, sweep", [
    ("dropout=0,0.1,0.2", ("dropout", (0.0, 0.1, 0.2))), ("seed=1,2,1", ("seed", (1, 2))),
    ("limit_train=100,none", ("limit_train", (100, None))), ("vary=head;head,order", ("vary", ("head", "head,order")))])
def test_a_sweep(text, sweep):
    assert parse_sweep(text) == sweep


@pytest.mark.parametrize("text, sentence", [
    ("dropout", f"'dropout' sets no field: give FIELD=VALUE with one of {NAMES}"),
    ("drop=0", f"'drop=0' sets no field: give FIELD=VALUE with one of {NAMES}"),
    ("recipe=2", f"'recipe=2' sets no field: give FIELD=VALUE with one of {NAMES}"),
    ("batch_size=8", "batch_size has another flag: --batch-sizes"),
    ("task=RTE", "task has another flag: --task"),
    ("dropout=much", "dropout is 'much', but must be a number"), ("seed=1.5", "seed is '1.5', but must be a whole number"),
    ("steps=few", "steps is 'few', but must be a whole number or none"),
    ("seed=none", "seed is 'none', but must be a whole number"),
    ("dropout=1", "dropout is 1.0, but must be from 0 to below 1"), ("beta_1=1", "beta_1 is 1.0, but must be from 0 to below 1"),
    ("clip_norm=0", "clip_norm is 0.0, but must be above 0 and finite"),
    ("vary=order", "what varies is order, but must be `head` or `head,order`"),
    ("epsilon=nan", "epsilon is nan, but must be at least 0 and finite")])
def test_what_cannot_be_set(text, sentence):
    with pytest.raises(UserError) as error:
        parse_setting(text)
    assert str(error.value) == sentence


def test_help_lists_every_field_with_its_default():
    assert describe_fields().split()[:5] == [
        "epochs=study's", "steps=none", "max_length=128", "warmup=0.1", "end_learning_rate=0"]
    assert "epsilon=1e-6" in describe_fields()
    assert [field.split("=")[0] for field in describe_fields().split()] == NAMES.split(", ")


def test_runs_are_named_by_what_is_not_as_usual():
    assert name_run(make_config(), 0) == "MRPC batch=8 rate=2e-5 instance=0"
    assert name_run(make_config(dropout=0, steps=100, seed=3, epsilon=1e-8, vary="head,order", dtype="bfloat16"), 2) == (
        "MRPC batch=8 rate=2e-5 steps=100 dropout=0 epsilon=1e-8 seed=3 vary=head,order dtype=bfloat16 instance=2")


def test_numbers_of_things_and_rates():
    assert [count(number, "run") for number in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert [show_rate(rate) for rate in (5e-5, 0.0005, 1.25e-4)] == ["5e-5", "5e-4", "1.25e-4"]
