"""Checks by hand that directories move both ways between Pare and transformers 4.30.2.

    python tools/golden/check_transformer_xl.py PARE_CHECK

PARE_CHECK is a program (tools/golden/check_transformer_xl.c) that loads a model directory, writes
the log-probabilities of fixed tokens, and saves the model into another directory. For several
configurations: the library saves a model, Pare reads it and scores tokens, Pare saves it, the
library reads that and scores the same tokens. Prints the largest differences.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings

import numpy
import torch
from safetensors.numpy import load_file
from transformers import TransfoXLConfig, TransfoXLLMHeadModel

warnings.filterwarnings("ignore")

BASE = {"vocab_size": 61, "cutoffs": [], "div_val": 1, "d_model": 24, "d_embed": 24, "n_layer": 2,
        "n_head": 3, "d_head": 7, "d_inner": 30, "mem_len": 10, "clamp_len": -1,
        "same_length": False, "pre_lnorm": False, "untie_r": False, "attn_type": 0,
        "init_std": 0.2, "proj_init_std": 0.2, "dropout": 0.1, "dropatt": 0.0}
VARIANTS = {
    "plain": {},
    "untied biases, norm first": {"untie_r": True, "pre_lnorm": True},
    "clusters": {"cutoffs": [20, 40, 50]},
    "clusters, narrow embedding": {"cutoffs": [20, 40, 50], "d_embed": 10},
    "clusters, division 2": {"cutoffs": [20, 40, 50], "div_val": 2},
    "window and clamp": {"same_length": True, "clamp_len": 5, "untie_r": True},
}
LANES, LENGTH = 2, 9


class Complaints(logging.Handler):
    """What the library says while it loads: missing or unexpected weights."""

    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage().split("\n")[0])


def scores(model, tokens):
    model.eval()
    empty = [torch.zeros(0, LANES, model.config.d_model) for _ in range(model.config.n_layer)]
    with torch.no_grad():
        output = model(input_ids=tokens, mems=empty).prediction_scores
    return output[:, -1].numpy()


def check(program, settings, directory):
    theirs, ours = os.path.join(directory, "theirs"), os.path.join(directory, "ours")
    torch.manual_seed(1)
    model = TransfoXLLMHeadModel(TransfoXLConfig(**{**BASE, **settings}))
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name.endswith("bias"):
                tensor.normal_(0.0, 0.2)
    model.save_pretrained(theirs, safe_serialization=True)
    tokens = torch.randint(0, model.config.vocab_size, (LANES, LENGTH))
    expected = scores(model, tokens)

    result = os.path.join(directory, "scores.f32")
    subprocess.run([program, theirs, ours, result, str(LANES), str(LENGTH)]
                   + [str(token) for token in tokens.flatten().tolist()], check=True)
    got = numpy.fromfile(result, numpy.float32).reshape(expected.shape)

    complaints = Complaints()
    logging.getLogger("transformers.modeling_utils").addHandler(complaints)
    loaded, info = TransfoXLLMHeadModel.from_pretrained(ours, output_loading_info=True)
    again = scores(loaded, tokens)
    stored, rewritten = (load_file(os.path.join(d, "model.safetensors")) for d in (theirs, ours))
    shared = stored.keys() & rewritten.keys()
    same = all(numpy.array_equal(stored[name], rewritten[name]) for name in shared)
    return {
        "pare_reads": float(numpy.abs(got - expected).max()),
        "library_reads": float(numpy.abs(again - expected).max()),
        "same_bits": same,
        "only_theirs": sorted(stored.keys() - rewritten.keys()),
        "only_ours": sorted(rewritten.keys() - stored.keys()),
        "missing": info["missing_keys"],
        "unexpected": info["unexpected_keys"],
        "complaints": complaints.messages,
    }


def main(program):
    for name, settings in VARIANTS.items():
        with tempfile.TemporaryDirectory() as directory:
            print(name, json.dumps(check(program, settings, directory)))


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
