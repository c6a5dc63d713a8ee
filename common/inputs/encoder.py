"""What a BERT encoder consists of: the sizes in its configuration, and the names and shapes of its weights."""
import re

SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
         "max_position_embeddings", "type_vocab_size")
"""Keys of a configuration; Google's bert_config.json and Hugging Face's config.json call them alike."""


def encoder_variables(config: dict) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the encoder's variables in a checkpoint of google-research/bert."""
    wide, inner = config["hidden_size"], config["intermediate_size"]

    def dense(name, rows, columns):
        return {f"{name}/kernel": (rows, columns), f"{name}/bias": (columns,)}

    def norm(name):
        return {f"{name}/LayerNorm/gamma": (wide,), f"{name}/LayerNorm/beta": (wide,)}

    shapes = {"bert/embeddings/word_embeddings": (config["vocab_size"], wide),
              "bert/embeddings/token_type_embeddings": (config["type_vocab_size"], wide),
              "bert/embeddings/position_embeddings": (config["max_position_embeddings"], wide),
              **norm("bert/embeddings"), **dense("bert/pooler/dense", wide, wide)}
    for layer in range(config["num_hidden_layers"]):
        place = f"bert/encoder/layer_{layer}"
        for part in ("query", "key", "value"):
            shapes |= dense(f"{place}/attention/self/{part}", wide, wide)
        shapes |= dense(f"{place}/attention/output/dense", wide, wide) | norm(f"{place}/attention/output")
        shapes |= dense(f"{place}/intermediate/dense", wide, inner) | dense(f"{place}/output/dense", inner, wide)
        shapes |= norm(f"{place}/output")
    return shapes


def hugging_face_name(variable: str) -> str:
    """The name in Hugging Face's BertModel of a variable of google-research/bert; dense kernels are transposed there."""
    name = re.sub(r"/layer_(\d+)/", r"/layer/\1/", variable.removeprefix("bert/"))
    name = re.sub("/(kernel|gamma)$", "/weight", re.sub("/beta$", "/bias", re.sub("_embeddings$", r"\g<0>/weight", name)))
    return name.replace("/", ".")


def find_misfit(found: dict[str, tuple[int, ...]], wanted: dict[str, tuple[int, ...]]) -> str | None:
    """What keeps weights of these names and shapes from being those that the configuration wants; None: nothing."""
    for name in sorted(wanted.keys() ^ found.keys()):
        if name in wanted:
            return f"its weights have no {name}"
        return f"its weights have {name}, for which its configuration has no place"
    for name, shape in wanted.items():
        if found[name] != shape:
            return f"{name} has the shape {list(found[name])} in its weights, but {list(shape)} by its configuration"
    return None
