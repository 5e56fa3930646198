"""Makes tests/golden/transformer_xl_{a,b,c}.safetensors with transformers 4.30.2 and PyTorch.

    python tools/golden/transformer_xl.py tests/golden

Each file holds a small TransfoXLLMHeadModel, a stream of tokens cut into segments, and what the
library computes from them in double precision: log-probabilities and losses of every position, the
memory after the last segment, all gradients of the last segment's mean loss, and the losses of ten
Adam steps over the same segments with sums that characterise the final weights. Tensors are stored
in single precision, the precision of the weights themselves.
"""

import json
import sys
import warnings

import numpy
import torch
import transformers
from safetensors.numpy import save_file
from transformers import TransfoXLConfig, TransfoXLLMHeadModel

warnings.filterwarnings("ignore")

# The library rounds scores to single precision before the softmax; here everything stays double.
torch.Tensor.float = torch.Tensor.double

SEED = 20121203
ADAM = {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-5}

COMMON = {
    "attn_type": 0,
    "init_std": 0.25,
    "proj_init_std": 0.3,
    "dropout": 0.0,
    "dropatt": 0.0,
}
CASES = {
    # Head size 41, odd lengths, biases of each layer, plain softmax.
    "a": (
        {"vocab_size": 53, "cutoffs": [], "div_val": 1, "d_model": 20, "d_embed": 20, "n_layer": 2,
         "n_head": 2, "d_head": 41, "d_inner": 23, "mem_len": 7, "clamp_len": -1,
         "same_length": False, "pre_lnorm": False, "untie_r": True},
        3, [11, 11, 11]),
    # Window, clamped distances, smaller vectors for rarer words, norm first, shared biases.
    "b": (
        {"vocab_size": 60, "cutoffs": [20, 35, 45], "div_val": 2, "d_model": 16, "d_embed": 16,
         "n_layer": 3, "n_head": 2, "d_head": 8, "d_inner": 24, "mem_len": 9, "clamp_len": 6,
         "same_length": True, "pre_lnorm": True, "untie_r": False},
        2, [7, 7, 7]),
    # Many segments with a memory longer than they are, a short last one, narrow embeddings.
    "c": (
        {"vocab_size": 40, "cutoffs": [15, 30], "div_val": 1, "d_model": 20, "d_embed": 12,
         "n_layer": 2, "n_head": 4, "d_head": 5, "d_inner": 32, "mem_len": 13, "clamp_len": 400,
         "same_length": False, "pre_lnorm": False, "untie_r": False},
        3, [5, 5, 5, 5, 3]),
}


def parameters(model):
    """Names and tensors of the parameters, each once, under the name that its file keeps."""
    seen, result = set(), {}
    for name, tensor in model.named_parameters(remove_duplicate=False):
        if id(tensor) not in seen:
            seen.add(id(tensor))
            result[name] = tensor
    return result


def losses_of(model, inputs, targets, memory):
    """Losses in the order of positions. The library's own loss shifts its labels and sorts its
    losses by cluster, so they are picked from its log-probabilities instead."""
    output = model(input_ids=inputs, mems=memory)
    picked = output.prediction_scores.gather(2, targets[:, :, None])[:, :, 0]
    return -picked, output.prediction_scores, output.mems


def empty_memory(config, lanes):
    # Without this the library attends to mem_len invented zero vectors at the start of a stream.
    return [torch.zeros(0, lanes, config.d_model, dtype=torch.float64)
            for _ in range(config.n_layer)]


def make(case, settings, lanes, lengths):
    torch.manual_seed(SEED + ord(case))
    config = TransfoXLConfig(**COMMON, **settings)
    model = TransfoXLLMHeadModel(config)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if name.endswith("bias"):
                tensor.normal_(0.0, 0.2)
    model = model.double()
    total = sum(lengths)
    stream = torch.randint(0, config.vocab_size, (lanes, total + 1))
    tensors = {"inputs": stream[:, :-1].numpy().astype(numpy.int32),
               "targets": stream[:, 1:].numpy().astype(numpy.int32),
               "lengths": numpy.array(lengths, numpy.int32),
               "weight/transformer.pos_emb.inv_freq": model.transformer.pos_emb.inv_freq.numpy()}
    for name, tensor in parameters(model).items():
        tensors["weight/" + name] = tensor.detach().numpy().copy()

    def segments():
        begin = 0
        for length in lengths:
            yield stream[:, begin:begin + length], stream[:, begin + 1:begin + length + 1]
            begin += length

    memory, scores, losses = empty_memory(config, lanes), [], []
    for inputs, targets in segments():
        model.zero_grad()
        segment_losses, segment_scores, memory = losses_of(model, inputs, targets, memory)
        segment_losses.mean().backward()
        scores.append(segment_scores.detach())
        losses.append(segment_losses.detach())
    tensors["scores"] = torch.cat(scores, 1).numpy()
    tensors["losses"] = torch.cat(losses, 1).numpy()
    tensors["memory"] = torch.stack(memory).transpose(1, 2).contiguous().numpy()
    for name, tensor in parameters(model).items():
        tensors["gradient/" + name] = tensor.grad.numpy().copy()

    optimizer = torch.optim.Adam(model.parameters(), **ADAM)
    training_losses = []
    while len(training_losses) < 10:
        memory = empty_memory(config, lanes)
        for inputs, targets in segments():
            optimizer.zero_grad()
            segment_losses, _, memory = losses_of(model, inputs, targets, memory)
            loss = segment_losses.mean()
            loss.backward()
            optimizer.step()
            training_losses.append(loss.item())
            if len(training_losses) == 10:
                break
    tensors["training_losses"] = numpy.array(training_losses)
    for name, tensor in parameters(model).items():
        tensors["trained/" + name] = numpy.array(
            [tensor.sum().item(), (tensor ** 2).sum().item()])

    def stored(array):
        keep = array.dtype == numpy.int32
        return numpy.ascontiguousarray(array if keep else array.astype(numpy.float32))

    return config, {name: stored(array) for name, array in tensors.items()}


def main(directory):
    for case, (settings, lanes, lengths) in CASES.items():
        config, tensors = make(case, settings, lanes, lengths)
        path = f"{directory}/transformer_xl_{case}.safetensors"
        save_file(tensors, path, metadata={
            "script": "tools/golden/transformer_xl.py",
            "versions": f"torch {torch.__version__}, transformers {transformers.__version__}",
            "seed": str(SEED + ord(case)),
            "adam": json.dumps(ADAM),
            "config": config.to_json_string(use_diff=False),
        })
        size = sum(array.nbytes for array in tensors.values())
        print(f"{path}: {size / 1000:.0f} kB, losses {tensors['training_losses']}")


if __name__ == "__main__":
    main(sys.argv[1])
