#!/usr/bin/env python3
"""Encoders in Pare and in other libraries, side by side in one process, on the CPU.

    tools/fetch-minilm.sh models/minilm-l6
    bench/peers/run bert --model models/minilm-l6 --data DIRECTORY_WITH_glue_AND_squad-v1.1

Every side computes the same with the same weights: on GLUE's sets the logits of a classifier, elsewhere
the hidden states of all tokens. Its results are compared with Pare's before it is timed. In every round each side takes its turn; times are medians
over rounds, ratios medians of the rounds' ratios (its time / Pare's: above 1 Pare is faster).

Pare takes batches as they come, without padding. The others pad to the longest sentence of a batch,
so they are measured twice, with batches in the order of the file and sorted by length over the whole
set, which a program that answers as sentences come cannot do. Tokenization is not timed.
"""

import argparse
import csv
import gzip
import json
import os
import statistics
import sys
import tempfile
import time
import warnings

import numpy
import torch

import bert_peers as peers
from bert_masks import average_mask
from pare_library import Library

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PAUSE_SECONDS = 50e-3  # threads of another library's pool stop spinning in it
LONGEST, QUESTION, STRIDE = 384, 64, 128  # of question answering
FP32_TOLERANCE, BF16_TOLERANCE = 1e-3, 0.05


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=os.path.join(ROOT, "models", "minilm-l6"))
    parser.add_argument("--data", default=os.environ.get("PARE_DATA"),
                        help="directory with glue/ and squad-v1.1/; default: PARE_DATA")
    parser.add_argument("--library", default=os.path.join(ROOT, "build", "libpare.so"))
    parser.add_argument("--output", default=os.path.join(ROOT, "build", "peers"))
    parser.add_argument("--workloads", default="32x128,8x384,MRPC,RTE,QNLI,SQuAD")
    parser.add_argument("--percent", type=float, default=90, help="pruned share of 8x384")
    parser.add_argument("--sentences", type=int, default=256, help="of a set of text, evenly spaced")
    parser.add_argument("--without", default="", help="names of peers to leave out, by commas")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--busy", action="store_true",
                        help="for a machine that others use: one thread, and processor time counts")
    options = parser.parse_args()
    if options.busy:
        options.threads = 1
    for path, remedy in ((options.library, "run 'make build' first"),
                         (options.model, "run tools/fetch-minilm.sh first"),
                         (options.data or "", "name a directory with glue/ and squad-v1.1/ by "
                                              "--data or PARE_DATA")):
        if not os.path.exists(path):
            raise SystemExit(f"bert.py: there is no '{path}'; {remedy}")
    return options


LABELS = 2


class Setting:
    """What all sides share. `labels`: 0 for hidden states, else the labels of a classifier, whose
    head is drawn at random."""

    def __init__(self, options, work, labels):
        from transformers import BertForSequenceClassification, BertModel

        self.library = Library(options.library, options.threads)
        self.labels, self.threads = labels, options.threads
        self.work = os.path.join(work, f"labels-{labels}")
        os.makedirs(self.work)
        self.model = self.body = options.model
        torch.manual_seed(1)
        if labels:
            model = BertForSequenceClassification.from_pretrained(options.model, num_labels=labels)
            self.model = os.path.join(self.work, "model")
            model.save_pretrained(self.model)
            self.pooler, self.classifier = model.bert.pooler, model.classifier
        else:
            model = BertModel.from_pretrained(options.model, add_pooling_layer=False)
        self.size, self.heads = model.config.hidden_size, model.config.num_attention_heads

        class FirstResult(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.model = model

            def forward(self, ids, mask, segments):
                return self.model(input_ids=ids, attention_mask=mask, token_type_ids=segments,
                                  return_dict=False)[0]

        self.torch_model = FirstResult().eval()

    @torch.inference_mode()
    def classify(self, first):
        return self.classifier(self.pooler(torch.from_numpy(first.copy())[:, None])).numpy()

    def onnx_path(self):
        path = os.path.join(self.work, "model.onnx")
        if not os.path.exists(path):
            names = ["ids", "mask", "segments"]
            example = [torch.ones((2, 16), dtype=torch.int64)] * 3
            torch.onnx.export(
                self.torch_model, tuple(example), path, input_names=names,
                output_names=["result"], opset_version=17, dynamo=False,
                dynamic_axes={name: {0: "batch", 1: "length"} for name in names})
        return path


# ---- Workloads ----


class Workload:
    def __init__(self, name, sentences, batch, labels=0):
        self.name, self.sentences, self.batch, self.labels = name, sentences, batch, labels
        self.tokens = sum(len(ids) for ids, _ in sentences)
        self.mixed = len({len(ids) for ids, _ in sentences}) > 1

    def batches(self, in_order_of_length):
        sentences = self.sentences
        if in_order_of_length:
            sentences = sorted(sentences, key=lambda sentence: len(sentence[0]))
        return [sentences[i:i + self.batch] for i in range(0, len(sentences), self.batch)]

    def describe(self):
        lengths = [len(ids) for ids, _ in self.sentences]
        return (f"{self.name}: {len(lengths)} of {min(lengths)} to {max(lengths)} tokens, mean "
                f"{statistics.mean(lengths):.0f}, batches of {self.batch}")


def spaced(items, count):
    """At most `count` of them, evenly spaced."""
    return [items[i * len(items) // count] for i in range(count)] if len(items) > count else items


class Text:
    def __init__(self, options):
        from tokenizers import Tokenizer

        self.options = options
        self.tokenizer = Tokenizer.from_file(os.path.join(options.model, "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.first, self.last = map(self.tokenizer.token_to_id, ("[CLS]", "[SEP]"))

    def pieces(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def pair(self, first, second):
        ids = [self.first, *first, self.last, *second, self.last]
        segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
        return numpy.array(ids), numpy.array(segments)

    def glue(self, task, columns):
        path = os.path.join(self.options.data, "glue", task, "dev.tsv.gz")
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        pairs = [self.pair(*(self.pieces(row[column]) for column in columns))
                 for row in spaced(rows, self.options.sentences)]
        return Workload(task, [(ids[:512], segments[:512]) for ids, segments in pairs], 32,
                        LABELS)

    def paragraphs(self):
        path = os.path.join(self.options.data, "squad-v1.1", "dev-v1.1.rebuilt.json.gz")
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for article in json.load(file)["data"]:
                yield from article["paragraphs"]

    def squad(self):
        questions = [(paragraph["context"], question["question"])
                     for paragraph in self.paragraphs() for question in paragraph["qas"]]
        sentences = []
        for context, question in spaced(questions, self.options.sentences // 2):
            asked, text = self.pieces(question)[:QUESTION], self.pieces(context)
            room = LONGEST - len(asked) - 3
            begin = 0
            while begin == 0 or begin + room - STRIDE < len(text):
                sentences.append(self.pair(asked, text[begin:begin + room]))
                begin += STRIDE
        return Workload("SQuAD", sentences, 8)

    def full(self, count, length, skipped=0):
        """Running text of SQuAD's paragraphs, in sentences of one length."""
        text, needed = [], (skipped + count) * (length - 2)
        for paragraph in self.paragraphs():
            text += self.pieces(paragraph["context"])
            if len(text) >= needed:
                break
        sentences = [[self.first, *text[i * (length - 2):(i + 1) * (length - 2)], self.last]
                     for i in range(skipped, skipped + count)]
        return Workload(f"{count} x {length}", [
            (numpy.array(ids), numpy.zeros(length, numpy.int64)) for ids in sentences], count)


GLUE = {"MRPC": ("#1 String", "#2 String"), "RTE": ("sentence1", "sentence2"),
        "QNLI": ("question", "sentence")}


def make_workload(name, text):
    if name in GLUE:
        return text.glue(name, GLUE[name])
    if name == "SQuAD":
        return text.squad()
    count, _, length = name.partition("x")
    if not (count.isdigit() and length.isdigit()):
        raise SystemExit(f"bert.py: there is no workload '{name}'; choose among "
                         f"{', '.join([*GLUE, 'SQuAD'])} and shapes like 32x128")
    return text.full(int(count), int(length))


# ---- Measuring ----


class Contestant:
    def __init__(self, side, workload, in_order_of_length):
        self.side = side
        self.name = side.name
        self.sorted = in_order_of_length
        self.prepared = side.prepare(workload.batches(in_order_of_length))
        self.samples = []

    def take_turn(self, clock):
        time.sleep(PAUSE_SECONDS)
        begin = clock()
        self.side.run(self.prepared)
        return clock() - begin

    def seconds(self):
        return statistics.median(self.samples)


def check(workload, side, pare, tolerance):
    batch = workload.batches(False)[0]
    ours, theirs = pare.result(batch), side.result(batch)
    difference = numpy.abs(ours - theirs)
    worst = difference.max() if tolerance == FP32_TOLERANCE else difference.mean()
    if not worst <= tolerance:
        raise SystemExit(f"bert.py: {side.name} and Pare differ by {worst:.2g} on {workload.name}")


def measure(workload, sides, options):
    """Rows of every side and order, with ratios to the first side."""
    contestants = [Contestant(side, workload, order) for side in sides
                   for order in ((False, True) if side.pads and workload.mixed else (False,))]
    clock = time.process_time if options.busy else time.perf_counter
    for round_ in range(options.rounds + 1):
        for contestant in contestants:
            seconds = contestant.take_turn(clock)
            if round_ > 0:  # caches, and what libraries compile for a shape
                contestant.samples.append(seconds)
    rows = []
    for contestant in contestants:
        ratios = [theirs / ours
                  for theirs, ours in zip(contestant.samples, contestants[0].samples)]
        rows.append({"name": contestant.name, "sorted": contestant.sorted,
                     "seconds": statistics.median(contestant.samples),
                     "ratio": statistics.median(ratios), "lowest": min(ratios),
                     "highest": max(ratios)})
    return rows


def print_workload(workload, rows):
    print(f"\n{workload.describe()}\n")
    print("| | batches | ms | ratio | lowest | highest |")
    print("|---|---|---:|---:|---:|---:|")
    for row in rows:
        print(f"| {row['name']} | {'by length' if row['sorted'] else 'as they come'} | "
              f"{1e3 * row['seconds']:.1f} | {row['ratio']:.2f} | {row['lowest']:.2f} | "
              f"{row['highest']:.2f} |", flush=True)


def pruned_side(setting, text, options):
    """Under a mask from the average of the model's own attention over other text than is timed."""
    full = text.full(64, LONGEST, skipped=8)
    mask = average_mask(setting.library, setting.model, full.batches(False), LONGEST,
                        options.percent)
    side = peers.Pare(setting, mask)
    side.name = f"Pare, {options.percent:g}% pruned"
    return side


class Sides:
    """Pare and the others, made when a kind of workload is first met."""

    def __init__(self, options, work, text):
        self.options, self.work, self.text = options, work, text
        self.made = {}

    def of(self, labels):
        if labels not in self.made:
            self.made[labels] = self.make(Setting(self.options, self.work, labels))
        return self.made[labels]

    def make(self, setting):
        bf16 = self.options.precision == "bf16"
        left_out = self.options.without.split(",")
        classes = [peer for peer in (peers.BF16_PEERS if bf16 else peers.FP32_PEERS)
                   if peer.name not in left_out]
        others = peers.create(classes, setting, lambda name, reason: print(
            f"{name} is left out: {reason}", file=sys.stderr))
        own = [peers.PareBf16(setting), peers.Pare(setting)] if bf16 else [peers.Pare(setting)]
        return setting, own + others


def run(workload, sides, options):
    setting, contestants = sides.of(workload.labels)
    tolerance = BF16_TOLERANCE if options.precision == "bf16" else FP32_TOLERANCE
    for side in contestants[1:]:
        check(workload, side, contestants[0], tolerance)
    if workload.name == f"8 x {LONGEST}" and options.precision == "fp32":
        contestants = contestants + [pruned_side(setting, sides.text, options)]
    rows = measure(workload, contestants, options)
    print_workload(workload, rows)
    return rows


def main():
    options = parse_arguments()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(options.threads)
    os.makedirs(options.output, exist_ok=True)
    machine = Library(options.library, options.threads).describe()
    print(f"{machine}, {options.threads} threads, {options.precision}; medians of "
          f"{options.rounds} rounds; ratio above 1: Pare is faster", flush=True)
    result = {"machine": machine, "options": vars(options)}
    with tempfile.TemporaryDirectory() as work:
        text = Text(options)
        sides = Sides(options, work, text)
        for name in options.workloads.split(","):
            result[name] = run(make_workload(name, text), sides, options)
    with open(os.path.join(options.output, f"bert-{options.precision}.json"), "w") as file:
        json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
