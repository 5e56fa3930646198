#!/usr/bin/env python3
"""Training steps of the same translation model on the same text in Pare and in PyTorch.

    bench/peers/run translation_training recipes/multi30k-en-de-small.yaml

The recipe gives text, shape and training; --set changes keys of it for both sides. PyTorch trains
MarianMTModel of transformers, with the same cross entropy, clipping and (fused) AdamW, in eager mode.
Pare's batches hold at most training.tokens of both languages, without padding; PyTorch's are made as
fairseq does with half of that as max-tokens: sorted by length, sentences times the longest of either
language at most so many. Tokens are counted without padding on both sides. Each side runs in a
process of its own, in turns; ratios are medians over rounds, with quartiles.
"""

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

from sides import quartiles

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
NAMES = {"pare": "Pare", "torch": "PyTorch", "pare-bf16": "Pare, bf16",
         "torch-bf16": "PyTorch, autocast to bf16"}
WARM_UP = 2  # steps of PyTorch that do not count; Pare takes one such itself
DEFAULTS = {
    "data.tokenised": False, "data.lower_case": False, "data.maximum_vocabulary": 8000,
    "model.dropout": 0.1, "model.attention_dropout": 0.0, "model.inner_dropout": 0.0,
    "training.tokens": 4096, "training.length": 128, "training.rate": 2.5e-4,
    "training.beta1": 0.9, "training.beta2": 0.999, "training.epsilon": 1e-8,
    "training.weight_decay": 0.0, "training.clip": 0.25, "training.label_smoothing": 0.1,
}
OTHER_MODELS = ["data.merges", "data.separate_vocabularies", "data.length_ratio",
                "model.checkpoint", "model.share", "model.sinusoids", "model.activation",
                "model.pre_norm"]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="override a key of the recipe, for both sides")
    parser.add_argument("--pare", default=os.path.join(ROOT, "build", "pare"))
    parser.add_argument("--output",
                        default=os.path.join(ROOT, "build", "peers", "translation-training.json"))
    parser.add_argument("--sides", default=",".join(NAMES))
    parser.add_argument("--steps", type=int, default=20, help="measured, of a side and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--worker", metavar="TOKENIZER", help=argparse.SUPPRESS)
    parser.add_argument("--bf16", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    for path, remedy in ((options.recipe, "name a recipe"),
                         (options.pare, "run 'make build' first")):
        if not os.path.exists(path):
            raise SystemExit(f"translation_training.py: there is no '{path}'; {remedy}")
    return options


# ---- The recipe ----


def read_recipe(options):
    """Keys with their dots, over the defaults."""
    import yaml

    with open(options.recipe, encoding="utf-8") as file:
        sections = yaml.safe_load(file)
    values = dict(DEFAULTS)
    for section, content in sections.items():
        if isinstance(content, dict):
            values.update({f"{section}.{key}": value for key, value in content.items()})
    for override in options.set:
        key, _, value = override.partition("=")
        values[key] = yaml.safe_load(value)
    for key in OTHER_MODELS:
        if values.get(key):
            raise SystemExit(f"translation_training.py: recipes with {key} are not compared")
    return values


def number(values, key):
    return float(values[key])  # YAML takes 1e-9 for a word


def file_of(values, key):
    return values[key].replace("${PARE_DATA}", os.environ.get("PARE_DATA", ""))


def make_tokenizer(options, values, directory):
    """As the recipe's run makes its own."""
    command = [options.pare, "tokenize", directory, file_of(values, "data.train.source"),
               file_of(values, "data.train.target"), "--train",
               "--kind", "bpe" if values["data.tokenised"] else "bpe-raw",
               "--size", str(values["data.maximum_vocabulary"])]
    subprocess.run(command + ["--cased"] * (not values["data.lower_case"]), check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return os.path.join(directory, "tokenizer.json")


# ---- PyTorch, in a process of its own ----


def read_side(values, key, tokenizer):
    path = file_of(values, key)
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file]
    end = tokenizer.token_to_id("</s>")
    return [encoded.ids + [end]
            for encoded in tokenizer.encode_batch(lines, add_special_tokens=False)]


def read_pairs(values, tokenizer):
    pairs = zip(read_side(values, "data.train.source", tokenizer),
                read_side(values, "data.train.target", tokenizer))
    limit = values["training.length"]
    return [pair for pair in pairs if all(1 < len(side) <= limit for side in pair)]


def make_batches(pairs, max_tokens):
    """In the order of their lengths; sentences times longest sentence at most `max_tokens`."""
    batches, longest = [[]], 0
    for pair in sorted(pairs, key=lambda pair: (len(pair[0]), len(pair[1]))):
        longest = max(longest, *map(len, pair))
        if batches[-1] and longest * (len(batches[-1]) + 1) > max_tokens:
            batches.append([])
            longest = max(map(len, pair))
        batches[-1].append(pair)
    return batches


def create_model(values, tokenizer):
    from transformers import MarianConfig, MarianMTModel

    layers, inner, heads = (values[f"model.{key}"] for key in ("layers", "feed_forward", "heads"))
    end = tokenizer.token_to_id("</s>")
    return MarianMTModel(MarianConfig(
        vocab_size=tokenizer.get_vocab_size(), d_model=values["model.size"], encoder_layers=layers,
        decoder_layers=values.get("model.decoder_layers", layers), encoder_attention_heads=heads,
        decoder_attention_heads=heads, encoder_ffn_dim=inner, decoder_ffn_dim=inner,
        max_position_embeddings=values.get("model.positions", 2 * values["training.length"]),
        activation_function="relu", scale_embedding=True, dropout=values["model.dropout"],
        attention_dropout=values["model.attention_dropout"],
        activation_dropout=values["model.inner_dropout"], init_std=values["model.size"] ** -0.5,
        pad_token_id=tokenizer.token_to_id("<pad>"), eos_token_id=end, decoder_start_token_id=end,
        forced_eos_token_id=None))


def padded(sequences, padding):
    import torch

    array = torch.full((len(sequences), max(map(len, sequences))), padding)
    for row, tokens in enumerate(sequences):
        array[row, :len(tokens)] = torch.tensor(tokens)
    return array


class TorchTraining:
    def __init__(self, values, tokenizer, bf16):
        import torch

        self.torch, self.values, self.bf16 = torch, values, bf16
        self.model = create_model(values, tokenizer).train()
        self.config = self.model.config
        self.parameters = [one for one in self.model.parameters() if one.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=number(values, "training.rate"), fused=True,
            betas=(number(values, "training.beta1"), number(values, "training.beta2")),
            eps=number(values, "training.epsilon"),
            weight_decay=number(values, "training.weight_decay"))

    def loss(self, sources, targets):
        torch, padding = self.torch, self.config.pad_token_id
        inputs = torch.roll(targets, 1, 1)
        inputs[:, 0] = self.config.decoder_start_token_id
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            logits = self.model(input_ids=sources, attention_mask=(sources != padding).long(),
                                decoder_input_ids=inputs, use_cache=False).logits
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), targets.flatten(), ignore_index=padding,
            label_smoothing=number(self.values, "training.label_smoothing"))

    def step(self, batch):
        sources, targets = (padded([pair[side] for pair in batch], self.config.pad_token_id)
                            for side in (0, 1))
        loss = self.loss(sources, targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.torch.nn.utils.clip_grad_norm_(self.parameters, number(self.values, "training.clip"))
        self.optimizer.step()
        return loss.item()


def count_tokens(batches):
    return sum(len(side) for batch in batches for pair in batch for side in pair)


def padded_tokens(batch):
    return sum(len(batch) * max(len(pair[side]) for pair in batch) for side in (0, 1))


def run_worker(options):
    warnings.filterwarnings("ignore")
    import torch
    from tokenizers import Tokenizer

    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    values = read_recipe(options)
    tokenizer = Tokenizer.from_file(options.worker)
    batches = make_batches(read_pairs(values, tokenizer), values["training.tokens"] // 2)
    order = torch.randperm(len(batches)).tolist()
    chosen = [batches[place % len(batches)] for place in order[:WARM_UP + options.steps]]
    training = TorchTraining(values, tokenizer, options.bf16)
    losses, measured = [], chosen[WARM_UP:]
    for step, batch in enumerate(chosen):
        if step == WARM_UP:
            begin = time.perf_counter()
        losses.append(training.step(batch))
    seconds = time.perf_counter() - begin
    tokens = count_tokens(measured)
    print(json.dumps({
        "tokens_per_second": tokens / seconds, "loss": losses[-1],
        "step_seconds": seconds / len(measured), "tokens_per_step": tokens / len(measured),
        "padding": 1 - tokens / sum(map(padded_tokens, measured)),
        "parameters": sum(one.numel() for one in training.parameters),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


# ---- Both sides ----


def run_side(options, side, tokenizer):
    overrides = [word for override in options.set for word in ("--set", override)]
    common = [*overrides, "--steps", str(options.steps), "--threads", str(options.threads)]
    bf16 = side.endswith("bf16")
    if side.startswith("pare"):
        precision = "training.precision=" + ("bf16" if bf16 else "fp32")
        command = [options.pare, "bench", "step", options.recipe, "--json", *common,
                   "--set", precision]
    else:
        command = [sys.executable, os.path.abspath(__file__), options.recipe, "--pare", options.pare,
                   "--worker", tokenizer, *common, *["--bf16"] * bf16]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit(f"translation_training.py: {side}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def print_table(rounds, sides):
    def median(side, key):
        return statistics.median(one[side][key] for one in rounds)

    print(f"\nratio: {NAMES[sides[0]]}'s tokens/s over the other's, and the other's memory over "
          "its, above 1 it is better\n")
    print("| | tokens/s | ratio | quartiles | peak memory, MB | ratio |")
    print("|---|---:|---:|---:|---:|---:|")
    for side in sides:
        lower, ratio, upper = quartiles([one[sides[0]]["tokens_per_second"]
                                         / one[side]["tokens_per_second"] for one in rounds])
        memory = statistics.median(one[side]["peak_bytes"] / one[sides[0]]["peak_bytes"]
                                   for one in rounds)
        print(f"| {NAMES[side]} | {median(side, 'tokens_per_second'):,.0f} | {ratio:.2f} | "
              f"{lower:.2f} .. {upper:.2f} | {median(side, 'peak_bytes') / 1e6:.0f} | "
              f"{memory:.2f} |")
    for side in sides:
        if side.startswith("torch"):
            print(f"\n{NAMES[side]}: {median(side, 'tokens_per_step'):.0f} tokens a step, "
                  f"{median(side, 'padding'):.1%} padding beside them")
        else:
            shares = (median(side, key) / median(side, "step_seconds")
                      for key in ("attention_seconds", "matrix_product_seconds"))
            print("\n{}: attention {:.0%}, matrix products {:.0%} of the step".format(
                NAMES[side], *shares))


def main():
    options = parse_arguments()
    if options.worker:
        run_worker(options)
        return
    sides, rounds = options.sides.split(","), []
    with tempfile.TemporaryDirectory() as directory:
        tokenizer = make_tokenizer(options, read_recipe(options), directory)
        for index in range(options.rounds):
            rounds.append({side: run_side(options, side, tokenizer) for side in sides})
            print(f"round {index + 1}: tokens/s " + ", ".join(
                f"{NAMES[side]} {rounds[-1][side]['tokens_per_second']:,.0f}" for side in sides),
                flush=True)
            if len({one["parameters"] for one in rounds[-1].values()}) > 1:
                raise SystemExit("translation_training.py: the sides have different models")
    print_table(rounds, sides)
    os.makedirs(os.path.dirname(os.path.abspath(options.output)), exist_ok=True)
    with open(options.output, "w", encoding="utf-8") as file:
        json.dump({"options": vars(options), "rounds": rounds}, file, indent=1)


if __name__ == "__main__":
    main()
