"""The hash of a configuration: pinned, so that no stored run is ever lost or mistaken for another."""
import dataclasses
import hashlib
import math

import pytest

from common import UserError
from common.studies import config
from common.studies.config import RunConfig

MRPC = {"task": "MRPC", "data": "d" * 64, "checkpoint": "c" * 64, "batch_size": 8, "peak_learning_rate": 2e-5,
        "epochs": 5}
MNLI = {"task": "MNLI", "data": "0" * 64, "checkpoint": "1" * 64, "batch_size": 128, "peak_learning_rate": 3e-4,
        "epochs": 5, "vary": "head,order", "limit_train": 1000, "seed": 7}
STSB = {"task": "STS-B", "data": "e" * 64, "checkpoint": "f" * 64, "batch_size": 2, "peak_learning_rate": 1,
        "epochs": 4, "steps": 100, "max_length": 64, "dropout": 0, "dtype": "bfloat16"}

MRPC_JSON = (
    '{"batch_size":8,"beta_1":0.9,"beta_2":0.999,'
    '"checkpoint":"cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc","clip_norm":1.0,'
    '"data":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","dropout":0.1,"dtype":"float32",'
    '"end_learning_rate":0.0,"epochs":5,"epsilon":1e-06,"limit_train":null,"max_length":128,"peak_learning_rate":2e-05,'
    '"recipe":1,"seed":0,"split_seed":0,"steps":null,"task":"MRPC","validation":0.05,"vary":"head","warmup":0.1,'
    '"weight_decay":0.01}')


@pytest.mark.parametrize("fields, digest", [
    (MRPC, "9149f48e15b6be62520b8b024f8e32f3128203def5826f7ccf3b20fafb47a442"),
    (MNLI, "53546dfe3b3286a3d0dcf45e720f668007b2bb91af104d920995f99b2ed0a1af"),
    (STSB, "4047bb2ba4062d822ef7d948986e2d9609c71e319f1a572ba52acf0c275a6f5f"),
])
def test_hashes_are_pinned(fields, digest):
    assert RunConfig(**fields).hash == digest


def test_the_hash_is_that_of_the_canonical_json():
    assert RunConfig(**MRPC).to_json() == MRPC_JSON
    assert RunConfig(**MRPC).hash == hashlib.sha256(MRPC_JSON.encode()).hexdigest()


@pytest.mark.parametrize("spelling", [{"peak_learning_rate": float("0.00002")}, {"peak_learning_rate": float("2E-5")},
                                      {"clip_norm": 1}, {"end_learning_rate": 0}])
def test_one_number_spelt_in_two_ways_has_one_hash(spelling):
    assert RunConfig(**MRPC | spelling).hash == RunConfig(**MRPC).hash


CHANGES = {"task": "RTE", "data": "a" * 64, "checkpoint": "b" * 64, "batch_size": 16, "peak_learning_rate": 3e-5,
           "epochs": 4, "steps": 10, "max_length": 127, "warmup": 0.2, "end_learning_rate": 1e-6, "dropout": 0.2,
           "weight_decay": 0.02, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-7, "clip_norm": 2, "validation": 0.1,
           "split_seed": 1, "seed": 1,
           "vary": "head,order", "dtype": "bfloat16", "limit_train": 100, "recipe": 2, "order": 3, "lower_case": True}


def test_every_change_of_a_field_moves_the_hash():
    assert sorted(CHANGES) == sorted(field.name for field in dataclasses.fields(RunConfig))
    hashes = {RunConfig(**MRPC | {name: value}).hash for name, value in CHANGES.items()}
    assert len(hashes - {RunConfig(**MRPC).hash}) == 25


def test_a_later_field_at_its_default_moves_no_hash(monkeypatch):
    monkeypatch.setitem(config.LATER, "dtype", "float32")
    later = '{"batch_size":8,' + MRPC_JSON.split(",", 1)[1].replace('"dtype":"float32",', "")
    assert RunConfig(**MRPC).to_json() == later
    assert '"dtype":"bfloat16"' in RunConfig(**MRPC, dtype="bfloat16").to_json()


def test_the_data_order_was_added_later_and_moved_no_hash():
    assert config.LATER == {"order": 0, "lower_case": None}
    assert RunConfig(**MRPC, order=0).to_json() == MRPC_JSON
    assert RunConfig(**MRPC, order=4).to_json() == MRPC_JSON.replace('"peak', '"order":4,"peak')
    assert RunConfig(**MRPC, order=4).hash == "d2efc12a2ff0cd7fd36115e8c7f5b8613aa88888b5f5b61ca44b6af24dab8b55"


def test_lowercasing_was_added_later_and_moved_no_hash():
    assert RunConfig(**MRPC, lower_case=None).to_json() == MRPC_JSON
    assert RunConfig(**MRPC, lower_case=True).to_json() == MRPC_JSON.replace('"max_length', '"lower_case":true,"max_length')
    assert RunConfig(**MRPC, lower_case=False).hash == RunConfig(**MRPC, lower_case=False).hash != RunConfig(**MRPC).hash


@pytest.mark.parametrize("fields", [MRPC, MNLI, STSB])
def test_json_round_trip(fields):
    there = RunConfig(**fields)
    assert RunConfig.from_json(there.to_json()) == there
    assert RunConfig.from_json(there.to_json()).hash == there.hash


def test_an_unknown_field_is_refused_and_the_known_are_listed():
    with pytest.raises(UserError) as refusal:
        RunConfig.from_json(MRPC_JSON.replace("}", ',"learning_rate":1}'))
    assert str(refusal.value) == (
        "unknown configuration field 'learning_rate'; known are: task, data, checkpoint, batch_size, "
        "peak_learning_rate, epochs, steps, max_length, warmup, end_learning_rate, dropout, weight_decay, beta_1, "
        "beta_2, epsilon, clip_norm, validation, split_seed, seed, vary, dtype, limit_train, recipe, order, "
        "lower_case")


@pytest.mark.parametrize("name, value, sentence", [
    ("batch_size", 0, "the batch size is 0, but must be a whole number of at least 1"),
    ("batch_size", 2.5, "the batch size is 2.5, but must be a whole number of at least 1"),
    ("batch_size", True, "the batch size is True, but must be a whole number of at least 1"),
    ("peak_learning_rate", 0, "the learning rate is 0.0, but must be above 0 and finite"),
    ("peak_learning_rate", -2e-5, "the learning rate is -2e-05, but must be above 0 and finite"),
    ("peak_learning_rate", math.nan, "the learning rate is nan, but must be above 0 and finite"),
    ("peak_learning_rate", math.inf, "the learning rate is inf, but must be above 0 and finite"),
    ("epochs", 0, "the number of epochs is 0, but must be a whole number of at least 1"),
    ("epochs", "5", "the number of epochs is 5, but must be a whole number of at least 1"),
    ("steps", 0, "the number of steps is 0, but must be a whole number of at least 1"),
    ("max_length", 7, "the maximum sequence length is 7, but must be a whole number from 8 to 512"),
    ("max_length", 513, "the maximum sequence length is 513, but must be a whole number from 8 to 512"),
    ("warmup", 1, "the warm-up share is 1.0, but must be from 0 to below 1"),
    ("warmup", math.nan, "the warm-up share is nan, but must be from 0 to below 1"),
    ("dropout", -0.1, "dropout is -0.1, but must be from 0 to below 1"),
    ("dropout", 1, "dropout is 1.0, but must be from 0 to below 1"),
    ("validation", 0, "the validation share is 0.0, but must be between 0 and 1"),
    ("validation", 1, "the validation share is 1.0, but must be between 0 and 1"),
    ("limit_train", 1, "the row limit is 1, but must be a whole number of at least 2"),
    ("vary", "order", "what varies is order, but must be `head` or `head,order`"),
    ("dtype", "float16", "the number format is float16, but must be float32 or bfloat16"),
    ("weight_decay", math.nan, "weight_decay is nan, but must be at least 0 and finite"),
    ("clip_norm", math.inf, "clip_norm is inf, but must be above 0 and finite"),
    ("order", -1, "order is -1, but must be a whole number of at least 0"),
    ("seed", -1, "seed is -1, but must be a whole number of at least 0"),
])
def test_bad_values_are_refused_in_one_sentence(name, value, sentence):
    with pytest.raises(UserError) as refusal:
        RunConfig(**MRPC | {name: value})
    assert str(refusal.value) == sentence


def test_a_data_order_is_numbered_by_the_instance_or_by_the_configuration_but_not_by_both():
    with pytest.raises(UserError) as refusal:
        RunConfig(**MNLI, order=1)
    assert str(refusal.value) == "the data order is 1, but must be 0 where it varies with the instances anyway"


def test_a_configuration_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig(**MRPC).batch_size = 16
