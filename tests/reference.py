"""BERT written out in NumPy from the paper (Devlin et al. 2018, arXiv 1810.04805) and from google-research/bert's variable
names, to hold the program's encoder against. It shares no code with it."""
import numpy as np


def gelu(x):
    """The tanh form, as in google-research/bert, modeling.py."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))


def layer_norm(x, gamma, beta):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-12) * gamma + beta


def pooled_output(get, layers: int, heads: int, ids, mask, types):
    """The pooled output [rows, hidden] of the checkpoint whose variables `get(name)` returns.

    Args:
      ids, mask, types: int [rows, tokens].
    """
    def dense(x, name):
        return x @ get(f"bert/{name}/kernel") + get(f"bert/{name}/bias")

    def norm(x, name):
        return layer_norm(x, get(f"bert/{name}/LayerNorm/gamma"), get(f"bert/{name}/LayerNorm/beta"))

    rows, tokens = ids.shape
    x = (get("bert/embeddings/word_embeddings")[ids] + get("bert/embeddings/token_type_embeddings")[types]
         + get("bert/embeddings/position_embeddings")[:tokens])
    x = norm(x, "embeddings")
    width = x.shape[-1] // heads
    for layer in range(layers):
        place = f"encoder/layer_{layer}"
        query, key, value = (dense(x, f"{place}/attention/self/{part}").reshape(rows, tokens, heads, width)
                             for part in ("query", "key", "value"))
        scores = np.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(width)
        scores = np.where(mask[:, None, None, :] == 1, scores, -1e30)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        context = np.einsum("bhqk,bkhd->bqhd", weights, value).reshape(rows, tokens, heads * width)
        x = norm(x + dense(context, f"{place}/attention/output/dense"), f"{place}/attention/output")
        inner = gelu(dense(x, f"{place}/intermediate/dense"))
        x = norm(x + dense(inner, f"{place}/output/dense"), f"{place}/output")
    return np.tanh(dense(x[:, 0], "pooler/dense"))
