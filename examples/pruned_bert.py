"""A pruned BERT directory in Python's transformers: dense without the mask, pruned with it.

    python examples/pruned_bert.py DIRECTORY "A sentence." "Another."          # pairs: a tab between both

transformers loads a directory that Pare wrote as any other and knows nothing of mask.safetensors: what it
computes is the dense model with these weights. The few lines of `use_mask` apply a mask of geometry cell in the
sentence's own order (no sweep.ends_first); `pare classify DIRECTORY` then gives the same numbers. Tried with
transformers 5.24.
"""
import sys

import numpy
import torch
from safetensors import safe_open
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)
from transformers.masking_utils import sdpa_mask


def use_mask(directory):
    with safe_open(f"{directory}/mask.safetensors", "np") as file:
        if (file.metadata()["geometry"], file.metadata().get("ends_first")) != ("cell", None):
            raise SystemExit(f"{directory}: its mask is not one of cells in the sentence's own order")
        bits = numpy.unpackbits(file.get_tensor("kept"), axis=-1, bitorder="little")
    kept = torch.from_numpy(bits).bool()  # layers, heads, queries, keys

    def pruned(module, query, key, value, attention_mask, **options):
        length = query.shape[2]
        cells = kept[module.layer_idx, :, :length, :length]
        if attention_mask is not None:  # padding
            cells = cells & attention_mask
        output = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=cells)
        return output.transpose(1, 2), None

    AttentionInterface.register("pare", pruned)
    AttentionMaskInterface.register("pare", sdpa_mask)


def main():
    directory, texts = sys.argv[1], sys.argv[2:]
    use_mask(directory)
    pairs = [text.split("\t") for text in texts]
    tokens = AutoTokenizer.from_pretrained(directory)(
        [pair[0] if len(pair) == 1 else pair for pair in pairs], padding=True, return_tensors="pt"
    )
    for attention in ("sdpa", "pare"):
        model = AutoModelForSequenceClassification.from_pretrained(
            directory, attn_implementation=attention
        ).eval()
        with torch.no_grad():
            logits = model(**tokens).logits.tolist()
        for text, row in zip(texts, logits):
            print(f"{attention:4}  {row}  {text}")


main()
