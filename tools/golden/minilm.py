"""Makes tests/golden/minilm.safetensors: what transformers computes with the weights of MiniLM.

    tools/fetch-minilm.sh
    python tools/golden/minilm.py models/minilm-l6 tests/golden

The file holds real sentences of different lengths as tokens and segments, end to end, and the hidden
states of all their tokens, computed in double precision one sentence at a time: "hidden" is what the
last layer gives, "layers" every 16th feature of what each layer before it gives.
"""

import sys

import numpy
import tokenizers
import torch
import transformers
from safetensors.numpy import save_file

STRIDE = 16

SENTENCES = [
    ("Dogs bark.", None),
    ("The cat sat on the mat, and the dog that had chased it all morning fell asleep.", None),
    ("Who wrote the Principia?", "Newton published the Philosophiæ Naturalis Principia "
     "Mathematica in 1687; it states the laws of motion and of universal gravitation."),
    ("A", None),
    ("It is hard to say whether antidisestablishmentarianism matters much nowadays.", None),
    ("A man is playing a guitar.", "Someone plays an instrument."),
    ("Revenue rose 12.5% to $3.4bn in the third quarter, well ahead of what analysts had "
     "expected, although margins (before tax) shrank once more.", None),
]


def main(weights, directory):
    tokenizer = tokenizers.Tokenizer.from_file(f"{weights}/tokenizer.json")
    tokenizer.no_padding()
    model = transformers.BertModel.from_pretrained(weights, attn_implementation="eager")
    model = model.double().eval()
    tokens, segments, layers = [], [], []
    for first, second in SENTENCES:
        encoding = tokenizer.encode(first, second)
        tokens.append(torch.tensor(encoding.ids))
        segments.append(torch.tensor(encoding.type_ids))
        with torch.no_grad():
            output = model(input_ids=tokens[-1][None], token_type_ids=segments[-1][None],
                           output_hidden_states=True)
        layers.append(torch.cat(output.hidden_states[1:]))
    layers = torch.cat(layers, dim=1).float()
    tensors = {"tokens": torch.cat(tokens).int().numpy(),
               "segments": torch.cat(segments).int().numpy(),
               "lengths": numpy.array([len(ids) for ids in tokens], numpy.int32),
               "hidden": layers[-1].contiguous().numpy(),
               "layers": layers[:-1, :, ::STRIDE].contiguous().numpy()}
    path = f"{directory}/minilm.safetensors"
    save_file(tensors, path, metadata={
        "script": "tools/golden/minilm.py",
        "versions": f"torch {torch.__version__}, transformers {transformers.__version__}"})
    size = sum(array.nbytes for array in tensors.values())
    print(f"{path}: {size / 1000:.0f} kB, lengths {tensors['lengths']}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
