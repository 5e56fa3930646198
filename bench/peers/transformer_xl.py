"""Training steps of the same Transformer-XL in Pare and in PyTorch.

    python bench/peers/transformer_xl.py --pare build/pare [--cutoffs 4000,16000] [--pairs 5]

The peer is TransfoXLLMHeadModel of transformers 4.30.2 with Adam. Both sides take whole steps
(forward, backward, gradient norm, update) on random tokens, as frequent as words of text are, with
a full memory and dropout on. The machine's speed changes from second to second, so each round runs
every side once, one after the other and each in a process of its own, and what counts is the median
over rounds of their ratio.
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings

MODEL = ["layers", "heads", "size", "feed_forward", "vocabulary", "lanes", "length", "memory"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    defaults = {"layers": 4, "heads": 4, "size": 128, "feed_forward": 512, "vocabulary": 33278,
                "lanes": 16, "length": 128, "memory": 128}
    for name in MODEL:
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=defaults[name])
    parser.add_argument("--cutoffs", default="", help="4000,16000; default: a plain softmax")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=3, help="measured steps of one side and round")
    parser.add_argument("--pairs", type=int, default=5, help="rounds")
    parser.add_argument("--percent", type=float, default=90, help="pruned share of the second Pare")
    parser.add_argument("--pare", default="build/pare")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# ---- PyTorch, in a process of its own ----


def create_model(options):
    from transformers import TransfoXLConfig, TransfoXLLMHeadModel

    cutoffs = [int(cutoff) for cutoff in options.cutoffs.split(",") if cutoff]
    return TransfoXLLMHeadModel(TransfoXLConfig(
        vocab_size=options.vocabulary, cutoffs=cutoffs, div_val=1, d_model=options.size,
        d_embed=options.size, n_layer=options.layers, n_head=options.heads,
        d_head=options.size // options.heads, d_inner=options.feed_forward,
        mem_len=options.memory, clamp_len=-1, same_length=False, untie_r=False,
        dropout=options.dropout, dropatt=0.0))


def torch_step(model, optimizer, inputs, targets, memory):
    import torch

    output = model.transformer(inputs, mems=memory)
    hidden = output.last_hidden_state
    # The library's loss shifts labels by one; a row more keeps every prediction.
    hidden = torch.cat([hidden, hidden[:, :1]], 1)
    labels = torch.cat([targets[:, :1], targets], 1)
    loss = model.crit(hidden, labels).mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    optimizer.step()
    return output.mems


def draw_words(vocabulary, shape):
    """Zipf's law, as on the other side: word r has a share proportional to 1 / (r + 1)."""
    import torch

    ranks = torch.exp(torch.rand(shape, dtype=torch.float64) * math.log(vocabulary + 1)) - 1
    return ranks.long().clamp(max=vocabulary - 1)


def run_worker(options):
    warnings.filterwarnings("ignore")
    import torch

    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    model = create_model(options).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=2.5e-4)
    shape = (options.lanes, options.length)
    inputs = draw_words(options.vocabulary, shape)
    targets = draw_words(options.vocabulary, shape)
    memory, times = None, []
    warm_up = 2  # the library's memory is full from the start
    for step in range(warm_up + options.steps):
        begin = time.perf_counter()
        memory = torch_step(model, optimizer, inputs, targets, memory)
        if step >= warm_up:
            times.append(time.perf_counter() - begin)
    seconds = statistics.median(times)
    print(json.dumps({
        "step_seconds": seconds,
        "tokens_per_second": options.lanes * options.length / seconds,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }))


# ---- Both sides ----


def run_json(command):
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(result.stdout)


def model_flags(options):
    flags = []
    for name in MODEL + ["dropout", "threads", "steps"]:
        flags += ["--" + name.replace("_", "-"), str(getattr(options, name))]
    return flags + (["--cutoffs", options.cutoffs] if options.cutoffs else [])


def run_round(options):
    flags = model_flags(options)
    pare = [options.pare, "bench", "model", "--json", *flags]
    return {
        "dense": run_json(pare),
        "torch": run_json([sys.executable, os.path.abspath(__file__), "--worker", *flags]),
        "pruned": run_json([*pare, "--percent", str(options.percent)]),
    }


def main():
    options = parse_arguments()
    if options.worker:
        run_worker(options)
        return
    rounds = []
    for index in range(options.pairs):
        rounds.append(run_round(options))
        last = rounds[-1]
        assert last["dense"]["parameters"] == last["torch"]["parameters"]
        print(f"round {index + 1}: tokens/s " + ", ".join(
            f"{side} {last[side]['tokens_per_second']:.0f}" for side in last), flush=True)

    def ratio(side, key):
        values = sorted(one[side][key] / one["torch"][key] for one in rounds)
        return f"{statistics.median(values):.2f} ({values[0]:.2f} .. {values[-1]:.2f})"

    for side, name in [("dense", "Pare, dense"), ("pruned", f"Pare, {options.percent:g}% pruned")]:
        shares = [statistics.median(one[side][key] / one[side]["step_seconds"] for one in rounds)
                  for key in ("attention_seconds", "matrix_product_seconds")]
        print(f"{name}: {ratio(side, 'tokens_per_second')} x PyTorch's tokens/s, "
              f"{ratio(side, 'peak_bytes')} x its peak memory; "
              f"attention {shares[0]:.0%}, matrix products {shares[1]:.0%} of the step")


if __name__ == "__main__":
    main()
