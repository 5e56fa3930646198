"""A pruned BERT directory in Python's transformers: dense without the mask, pruned with it.

    python examples/pruned_bert.py DIRECTORY "A sentence." ["Its pair."]

transformers loads a directory that Pare wrote as any other and knows nothing of mask.safetensors: what it
computes is the dense model with these weights. The ten lines of `use_mask` apply a mask of geometry cell in the
sentence's own order; `pare classify DIRECTORY` then gives the same numbers. Tried with transformers 5.24.
"""
import sys

import numpy
import torch
from safetensors import safe_open
from transformers import AttentionInterface, AutoModelForSequenceClassification, AutoTokenizer


def use_mask(directory):
    with safe_open(f"{directory}/mask.safetensors", "np") as file:
        bits = numpy.unpackbits(file.get_tensor("kept"), axis=-1, bitorder="little")
    kept = torch.from_numpy(bits).bool()  # layers, heads, queries, keys

    def pruned(module, query, key, value, attention_mask, **options):
        length = query.shape[2]
        cells = kept[module.layer_idx, :, :length, :length]
        output = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=cells)
        return output.transpose(1, 2), None

    AttentionInterface.register("pare", pruned)


def main():
    directory, texts = sys.argv[1], sys.argv[2:]
    use_mask(directory)
    tokens = AutoTokenizer.from_pretrained(directory)(*texts, return_tensors="pt")
    for attention in ("sdpa", "pare"):
        model = AutoModelForSequenceClassification.from_pretrained(
            directory, attn_implementation=attention
        ).eval()
        with torch.no_grad():
            logits = model(**tokens).logits[0].tolist()
        print(f"{attention:4}  {logits}")


main()
