"""Builds the ONNX graph of a BERT sentence encoder from its safetensors weights.

Reads the weights through a memory map and writes three files: the graph, its weights in the layout that
it wants, so that the runtime can map them, and the table of word vectors, half of the whole, which is
read row by row and never loaded. Nothing here runs the model or is needed once the files exist.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import onnx

GRAPH_VERSION = 1
"""Part of the cache folder's name: raise it with every change of the graph or of the layout."""

GRAPH_FILE = "encoder.onnx"
WEIGHTS_FILE = "encoder.weights"
WORDS_FILE = "words.f32"

LAYERS = 6
HEADS = 12
WIDTH = 384
MAX_POSITIONS = 256
LAYER_NORM_EPSILON = 1e-12
MASKED_OUT = -10_000.0
PAGE_BYTES = 4096
CONTRIB = "com.microsoft"


def build_encoder(safetensors: Path, folder: Path) -> None:
    """Write the graph, its weights and the table of word vectors into `folder`, which must exist.

    The graph takes `words` (float32 [texts, tokens, 384], rows of the table, at most 256 tokens) and
    `mask` (int32 [texts, tokens]) and gives `vectors` (float32 [texts, 384]): the mean of the last
    layer over the unmasked tokens, scaled to length 1.
    """
    import onnx

    weights = _read_safetensors(safetensors)
    weights["embeddings.word_embeddings.weight"].tofile(folder / WORDS_FILE)
    with (folder / WEIGHTS_FILE).open("wb") as file:
        initializers = [_write_weight(file, name, array) for name, array in _layout(weights)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            list(_nodes(onnx)),
            "sentence_encoder",
            [
                onnx.helper.make_tensor_value_info(
                    "words", onnx.TensorProto.FLOAT, ["texts", "tokens", WIDTH]
                ),
                onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.INT32, ["texts", "tokens"]),
            ],
            [onnx.helper.make_tensor_value_info("vectors", onnx.TensorProto.FLOAT, ["texts", WIDTH])],
            initializers + _constants(onnx),
        ),
        opset_imports=[onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(CONTRIB, 1)],
        ir_version=9,
    )
    (folder / GRAPH_FILE).write_bytes(model.SerializeToString())


def _read_safetensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The tensors of the file by name, as views of a memory map."""
    import numpy as np

    with path.open("rb") as file:
        (header_bytes,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(header_bytes))
    mapped = np.memmap(path, mode="r", dtype=np.uint8, offset=8 + header_bytes)
    tensors = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            begin, end = entry["data_offsets"]
            tensors[name] = mapped[begin:end].view(np.float32).reshape(entry["shape"])
    return tensors


def _layout(weights: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """The initializers: dense layers transposed to [in, out], query, key and value side by side,
    the one token type added to every position."""
    import numpy as np

    yield (
        "positions",
        weights["embeddings.position_embeddings.weight"][:MAX_POSITIONS]
        + weights["embeddings.token_type_embeddings.weight"][0],
    )
    yield "norm.gain", weights["embeddings.LayerNorm.weight"]
    yield "norm.bias", weights["embeddings.LayerNorm.bias"]
    for layer in range(LAYERS):
        source, target = f"encoder.layer.{layer}.", f"{layer}."
        qkv = [f"{source}attention.self.{part}." for part in ("query", "key", "value")]
        yield f"{target}qkv", np.concatenate([weights[part + "weight"].T for part in qkv], axis=1)
        yield f"{target}qkv.bias", np.concatenate([weights[part + "bias"] for part in qkv])
        for ours, theirs in (
            ("attended", "attention.output"),
            ("widened", "intermediate"),
            ("narrowed", "output"),
        ):
            yield f"{target}{ours}", weights[f"{source}{theirs}.dense.weight"].T
            yield f"{target}{ours}.bias", weights[f"{source}{theirs}.dense.bias"]
            if ours != "widened":
                yield f"{target}{ours}.norm.gain", weights[f"{source}{theirs}.LayerNorm.weight"]
                yield f"{target}{ours}.norm.bias", weights[f"{source}{theirs}.LayerNorm.bias"]


def _write_weight(file: IO[bytes], name: str, array: np.ndarray[Any, Any]) -> onnx.TensorProto:
    """Append the array at a page border, which makes it mappable, and refer to it from an initializer."""
    import numpy as np
    import onnx

    file.write(b"\0" * (-file.tell() % PAGE_BYTES))
    offset = file.tell()
    file.write(np.ascontiguousarray(array, dtype="<f4").tobytes())
    tensor = onnx.TensorProto(
        name=name,
        data_type=onnx.TensorProto.FLOAT,
        dims=array.shape,
        data_location=onnx.TensorProto.EXTERNAL,
    )
    for key, value in (("location", WEIGHTS_FILE), ("offset", offset), ("length", file.tell() - offset)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def _constants(onnx: Any) -> list[onnx.TensorProto]:
    tensor, proto = onnx.helper.make_tensor, onnx.TensorProto
    return [
        tensor("zero", proto.INT64, [1], [0]),
        tensor("one", proto.INT64, [1], [1]),
        tensor("two", proto.INT64, [1], [2]),
    ]


def _nodes(onnx: Any) -> Iterator[onnx.NodeProto]:
    """The graph in the order of computation; fused operators of the runtime where it has them."""

    def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
        return onnx.helper.make_node(kind, inputs.split(), [output], name=output, **attributes)

    yield node("Shape", "words", "shape")
    yield node("Slice", "shape one two zero", "token_count")
    yield node("Slice", "positions zero token_count zero", "place")
    yield node("Add", "words place", "embedded")
    yield node("LayerNormalization", "embedded norm.gain norm.bias", "hidden.0", epsilon=LAYER_NORM_EPSILON)
    for layer in range(LAYERS):
        yield from _layer(node, layer)
    yield node("Cast", "mask", "mask.float", to=onnx.TensorProto.FLOAT)
    yield node("Unsqueeze", "mask.float one", "weight_rows")
    yield node("MatMul", f"weight_rows hidden.{LAYERS}", "sum_rows")
    yield node("Squeeze", "sum_rows one", "sums")
    # The length of the mean is scaled away, so dividing by the number of tokens would change nothing.
    yield node("LpNormalization", "sums", "vectors", axis=-1, p=2)


def _layer(node: Any, layer: int) -> Iterator[onnx.NodeProto]:
    at = f"{layer}."
    norm = {"domain": CONTRIB, "epsilon": LAYER_NORM_EPSILON}
    yield node(
        "Attention",
        f"hidden.{layer} {at}qkv {at}qkv.bias mask",
        f"{at}heads",
        domain=CONTRIB,
        num_heads=HEADS,
        mask_filter_value=MASKED_OUT,
    )
    yield node("MatMul", f"{at}heads {at}attended", f"{at}mixed")
    yield node(
        "SkipLayerNormalization",
        f"{at}mixed hidden.{layer} {at}attended.norm.gain {at}attended.norm.bias {at}attended.bias",
        f"{at}between",
        **norm,
    )
    yield node("MatMul", f"{at}between {at}widened", f"{at}wide")
    yield node("BiasGelu", f"{at}wide {at}widened.bias", f"{at}activated", domain=CONTRIB)
    yield node("MatMul", f"{at}activated {at}narrowed", f"{at}narrow")
    yield node(
        "SkipLayerNormalization",
        f"{at}narrow {at}between {at}narrowed.norm.gain {at}narrowed.norm.bias {at}narrowed.bias",
        f"hidden.{layer + 1}",
        **norm,
    )
