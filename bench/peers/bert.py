#!/usr/bin/env python3
"""Encoders in Pare and in other libraries, side by side, on the CPU.

    tools/fetch-minilm.sh models/minilm-l6
    bench/peers/run bert --model models/minilm-l6 --data DIRECTORY_WITH_glue_AND_squad-v1.1

Every side computes the same with the same weights, in a process of its own: on GLUE's sets the logits
of a classifier, elsewhere the hidden states of all tokens. Its results are compared with Pare's before
it is timed. In every round each side takes its turn; times are medians over rounds, ratios medians of
the rounds' ratios, with quartiles (its time / Pare's: above 1 Pare is faster).

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
import tempfile
import warnings

import numpy

import bert_peers as peers
from pare_library import Library
from sides import SideProcess, Worker, available, quartiles, spaced

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
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
                        peers.LABELS)

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


class Encoding(Worker):
    def values(self, batch):
        return self.side.values(self.side.run(self.side.prepare(batch)), batch)

    def prepare(self, batches):
        """Arranges them and runs them once: caches, and what libraries compile for a shape."""
        prepared = [self.side.prepare(batch) for batch in batches]
        for batch in prepared:
            self.side.run(batch)
        return prepared

    def prepare_orders(self, orders):
        self.orders = [self.prepare(batches) for batches in orders]

    def take_turn(self, order):
        return self.time(self.side.run, self.orders[order])[1]


class Side(SideProcess):
    def __init__(self, name, create, arguments, options):
        super().__init__(name, Encoding, create, arguments, options.busy)
        self.pads = create.pads


class Contestant:
    """A side with one order of the sentences."""

    def __init__(self, side, order):
        self.side, self.order, self.samples = side, order, []

    def take_turn(self):
        self.samples.append(self.side.ask("take_turn", self.order))

    def row(self, first):
        lower, ratio, upper = quartiles([theirs / ours for theirs, ours
                                         in zip(self.samples, first.samples)])
        return {"name": self.side.name, "sorted": self.order == 1,
                "seconds": statistics.median(self.samples), "ratio": ratio,
                "lower_quartile": lower, "upper_quartile": upper}


def check(workload, side, first, options):
    batch = workload.batches(False)[0]
    difference = numpy.abs(first.ask("values", batch) - side.ask("values", batch))
    bf16 = options.precision == "bf16"
    worst = difference.mean() if bf16 else difference.max()
    if not worst <= (BF16_TOLERANCE if bf16 else FP32_TOLERANCE):
        raise SystemExit(f"bert.py: {side.name} and Pare differ by {worst:.2g} on {workload.name}")


def measure(workload, sides, options):
    """Rows of every side and order, with ratios to the first side."""
    contestants = []
    for side in sides:
        orders = (False, True) if side.pads and workload.mixed else (False,)
        side.ask("prepare_orders", [workload.batches(order) for order in orders])
        contestants += [Contestant(side, order) for order in range(len(orders))]
    for _ in range(options.rounds):
        for contestant in contestants:
            contestant.take_turn()
    return [contestant.row(contestants[0]) for contestant in contestants]


def print_workload(workload, rows):
    print(f"\n{workload.describe()}\n")
    print("| | batches | ms | ratio | quartiles |")
    print("|---|---|---:|---:|---:|")
    for row in rows:
        print(f"| {row['name']} | {'by length' if row['sorted'] else 'as they come'} | "
              f"{1e3 * row['seconds']:.1f} | {row['ratio']:.2f} | "
              f"{row['lower_quartile']:.2f} .. {row['upper_quartile']:.2f} |", flush=True)


class Sides:
    """Pare and the others, started when a kind of workload is first met."""

    def __init__(self, options, work, text):
        self.options, self.work, self.text = options, work, text
        self.started = {}

    def of(self, labels):
        if labels not in self.started:
            self.started[labels] = self.start(labels)
        return self.started[labels]

    def start(self, labels):
        options = self.options
        setting = peers.make_setting(options.library, options.model,
                                     os.path.join(self.work, f"labels-{labels}"),
                                     options.threads, labels)
        return available(Side(name, create, arguments, options)
                         for name, create, arguments in self.list(setting))

    def list(self, setting):
        """Of each side its name, class and arguments; the others are compared with the first."""
        bf16 = self.options.precision == "bf16"
        left_out = self.options.without.split(",")
        own = [peers.PareBf16, peers.Pare] if bf16 else [peers.Pare]
        others = [peer for peer in (peers.BF16_PEERS if bf16 else peers.FP32_PEERS)
                  if peer.name not in left_out]
        sides = [(side.name, side, (setting,)) for side in own + others]
        if not (bf16 or setting.labels):
            # Other text than is timed.
            observed = self.text.full(64, LONGEST, skipped=8).sentences
            sides.append((f"Pare, {self.options.percent:g}% pruned", peers.ParePruned,
                          (setting, self.options.percent, observed)))
        return sides


def run(workload, sides, options):
    pruned = [side for side in sides if "pruned" in side.name]
    dense = [side for side in sides if side not in pruned]
    for side in dense[1:]:
        check(workload, side, dense[0], options)
    # A mask of cells serves sentences as long as those it comes from, and shorter ones.
    full_length = workload.name == f"8 x {LONGEST}"
    rows = measure(workload, sides if full_length else dense, options)
    print_workload(workload, rows)
    return rows


def main():
    options = parse_arguments()
    warnings.filterwarnings("ignore")
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    os.makedirs(options.output, exist_ok=True)
    machine = Library(options.library, options.threads).describe()
    print(f"{machine}, {options.threads} threads, {options.precision}; medians of "
          f"{options.rounds} rounds; ratio above 1: Pare is faster", flush=True)
    result = {"machine": machine, "options": vars(options)}
    with tempfile.TemporaryDirectory() as work:
        text = Text(options)
        sides = Sides(options, work, text)
        for name in options.workloads.split(","):
            workload = make_workload(name, text)
            result[name] = run(workload, sides.of(workload.labels), options)
    with open(os.path.join(options.output, f"bert-{options.precision}.json"), "w") as file:
        json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
