"""Private members of Model Garden: one file reaches for them, and says in one sentence which of them is missing."""
import ast
from pathlib import Path

import pytest

from common import UserError

ROOT = Path(__file__).parent.parent


def test_no_other_file_of_the_room_reaches_for_private_members():
    found = [f"{path.name}: {ast.unparse(node)}" for path in sorted((ROOT / "common/training").glob("*.py"))
             if path.name != "garden.py" for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
             and ast.unparse(node.value) != "self"]
    assert found == []


@pytest.mark.tensorflow
def test_a_missing_member_is_named_with_its_package(tf):
    from common.training import garden, model

    bert = {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 10,
            "max_position_embeddings": 8, "type_vocab_size": 2}
    classifier = model.build_classifier(bert, 2, 0.1)
    assert garden.open_encoder(classifier).blocks[0].attention.key_width == 2
    del classifier._network._transformer_layers[0]._attention_layer._key_dense
    with pytest.raises(UserError) as caught:
        garden.open_encoder(classifier)
    assert str(caught.value) == ("tf-keras 2.20.1 has no MultiHeadAttention._key_dense, which this program uses; install the "
                                 "versions that requirements.lock names")
