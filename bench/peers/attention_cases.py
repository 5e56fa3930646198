"""The cases that all implementations of attention run: data and masks."""

import json
import os
import struct

import numpy


class Case:
    """mask: bool (heads, queries, keys), admissible cells only, or None for dense attention."""

    def __init__(self, family, kept, mask, heads, queries, keys, head_size, causal=False):
        self.family, self.kept, self.mask, self.causal = family, kept, mask, causal
        self.heads, self.queries, self.keys, self.head_size = heads, queries, keys, head_size
        generator = numpy.random.default_rng(1)

        def draw(tokens):
            return generator.standard_normal((tokens, heads, head_size), dtype=numpy.float32)

        self.query, self.output_gradient = draw(queries), draw(queries)
        self.key, self.value = draw(keys), draw(keys)

    def name(self):
        shape = f"{self.queries} x {self.keys}" + (", causal" if self.causal else "")
        return f"{self.family} {100 * self.kept:.0f}%, {shape}, {self.heads} heads"


def random_mask(heads, length, kept):
    return numpy.random.default_rng(2).random((heads, length, length), numpy.float32) < kept


def band_mask(heads, length, kept):
    """The same number of keys for every query, around the diagonal."""
    width = max(1, round(kept * length))
    begin = numpy.clip(numpy.arange(length) - width // 2, 0, length - width)[:, None]
    columns = numpy.arange(length)[None, :]
    mask = (columns >= begin) & (columns < begin + width)
    return numpy.broadcast_to(mask, (heads, length, length))


def load_mask(path):
    """The bits of a mask file, heads of all layers side by side, and whether it is causal."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = file.read()
    fields = header["__metadata__"]
    if fields["geometry"] != "cell":
        raise SystemExit(f"{path}: a mask of distances; choose masks of cells")
    begin, end = header["kept"]["data_offsets"]
    bits = numpy.frombuffer(data[begin:end], numpy.uint8).reshape(header["kept"]["shape"])
    mask = numpy.unpackbits(bits, axis=-1, bitorder="little")[..., :int(fields["keys"])]
    return mask.astype(bool).reshape(-1, *mask.shape[2:]), fields["causal"] == "1"


def admissible(queries, keys):
    """Of a causal call whose last query sees the last key."""
    return numpy.tri(queries, keys, keys - queries, dtype=bool)


def learned_cases(directory, head_size, percent_kept):
    """The stored masks that keep about this share."""
    names = sorted(name for name in os.listdir(directory) if name.endswith(".safetensors"))
    for name in names:
        mask, causal = load_mask(os.path.join(directory, name))
        heads, queries, keys = mask.shape
        cells = admissible(queries, keys).sum() if causal else queries * keys
        kept = mask.sum() / heads / cells
        if abs(100 * kept - percent_kept) < 0.5:
            yield Case("learned", kept, mask, heads, queries, keys, head_size, causal)


def drawn_case(family, kept, heads, length, head_size):
    mask = {"dense": lambda *_: None, "random": random_mask, "band": band_mask}[family](
        heads, length, kept)
    kept = 1.0 if mask is None else kept
    return Case(family, kept, mask, heads, length, length, head_size)


class ScatteredRows:
    """A mask with the same number of cells in every row, drawn row by row: whole masks of long
    sequences would take gigabytes."""

    def __init__(self, length, cells):
        self.length, self.cells = length, min(cells, length)

    def __getitem__(self, index):
        head, row = index
        generator = numpy.random.default_rng([head, row])
        kept = numpy.zeros(self.length, numpy.uint8)
        kept[generator.choice(self.length, self.cells, replace=False, shuffle=False)] = 1
        return kept
