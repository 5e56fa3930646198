#!/usr/bin/env python3
"""Golden data for tests/pruning, by NumPy alone: what the reference's percentile rule and Pare's own
rule prune of a small average with many ties.

    python3 tools/golden/pruning.py tests/golden

writes pruning_average.npy (layers x heads x queries x keys, causal with memory, fp32) and
pruning_reference.safetensors with the expected results. Nothing here shares code with the C side.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

SEED = 20201202
LAYERS, HEADS, QUERIES, KEYS = 2, 3, 6, 9
MEMORY = KEYS - QUERIES
PERCENTS = range(0, 101, 10)


def save_safetensors(path, tensors, metadata):
    header, blobs, position = {"__metadata__": metadata}, [], 0
    names = {"uint8": "U8", "int64": "I64", "float64": "F64"}
    for name, array in tensors.items():
        blob = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": names[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [position, position + len(blob)],
        }
        blobs.append(blob)
        position += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def make_average(random):
    """Softmax rows over the admissible keys, rounded to sixteenths so that many cells are equal."""
    rows, columns = np.arange(QUERIES)[:, None], np.arange(KEYS)[None, :]
    admissible = columns <= rows + MEMORY
    scores = random.normal(size=(LAYERS, HEADS, QUERIES, KEYS)) * 1.5
    weights = np.exp(scores) * admissible
    average = weights / weights.sum(-1, keepdims=True)
    return (np.round(average * 16) / 16).astype(np.float32), admissible


def percentile_indices():
    """Which element of 0 .. n - 1 the rule "nearest" picks; row n - 1, column percent / 10."""
    table = np.zeros((60, len(PERCENTS)), np.int64)
    for n in range(1, 61):
        for column, percent in enumerate(PERCENTS):
            table[n - 1, column] = np.percentile(np.arange(n), percent, method="nearest")
    return table


def reference_rule(average, admissible, percent):
    """Kept cells: strictly above the percentile of the whole rectangle of a layer."""
    kept = np.zeros(average.shape, np.uint8)
    for layer in range(LAYERS):
        tau = np.percentile(average[layer], percent, method="nearest")
        kept[layer] = (average[layer] > tau) & admissible
    return kept


def pare_rule(average, admissible, percent, pooled_axes):
    """Kept cells: all but the first floor(p |C|) of a stable sort of the candidates of each group."""
    usable = np.broadcast_to(admissible, average.shape)
    kept = usable.astype(np.uint8)
    groups = average.shape[:pooled_axes]
    for group in np.ndindex(*groups):
        candidates = np.argwhere(usable[group])
        values = np.array([average[group][tuple(c)] for c in candidates])
        order = np.argsort(values, kind="stable")
        for index in order[: len(order) * percent // 100]:
            kept[group][tuple(candidates[index])] = 0
    return kept


def distance_averages(average):
    """Mean over the rows that reach each distance."""
    result = np.zeros((LAYERS, HEADS, KEYS))
    for distance in range(KEYS):
        cells = [(row, row + MEMORY - distance) for row in range(QUERIES)]
        cells = [cell for cell in cells if cell[1] >= 0]
        for layer in range(LAYERS):
            for head in range(HEADS):
                values = [np.float64(average[layer, head][cell]) for cell in cells]
                result[layer, head, distance] = sum(values) / len(values)
    return result


def main(directory):
    average, admissible = make_average(np.random.default_rng(SEED))
    tensors = {"percentile_indices": percentile_indices()}
    tensors["distance_averages"] = distance_averages(average)
    for percent in PERCENTS:
        tensors[f"compat_{percent}"] = reference_rule(average, admissible, percent)
        for scope, axes in (("model", 0), ("layer", 1), ("head", 2), ("row", 3)):
            tensors[f"{scope}_{percent}"] = pare_rule(average, admissible, percent, axes)
    np.save(directory / "pruning_average.npy", average)
    metadata = {
        "made_by": "tools/golden/pruning.py",
        "numpy": np.__version__,
        "seed": str(SEED),
    }
    save_safetensors(directory / "pruning_reference.safetensors", tensors, metadata)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
