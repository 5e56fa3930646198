#!/usr/bin/env python3
"""Fine-tuning steps of the same encoder on the same text in Pare and in PyTorch.

    bench/peers/run bert_training --data DIRECTORY_WITH_glue

MRPC, batches of 32 pairs in random order, dropout 0.1, AdamW with clipping, fp32. PyTorch is
BertForSequenceClassification of transformers, eager and under torch.compile; it pads to the longest
pair of a batch. Each side runs in a process of its own, in turns; ratios are medians over rounds of
PyTorch's number / Pare's, so above 1 Pare is faster, or needs less memory.
"""

import argparse
import csv
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
from ctypes import POINTER, Structure, byref, c_bool, c_char_p, c_double, c_int, c_size_t, c_uint64
from ctypes import c_void_p

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SIDES = ["pare", "torch", "compile"]
NAMES = {"pare": "Pare", "torch": "PyTorch", "compile": "torch.compile"}
BATCH, RATE, CLIP = 32, 2e-5, 1.0
WARM_UP = 2  # steps that do not count


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default=os.path.join(ROOT, "models", "minilm-l6"))
    parser.add_argument("--data", default=os.environ.get("PARE_DATA"))
    parser.add_argument("--library", default=os.path.join(ROOT, "build", "libpare.so"))
    parser.add_argument("--steps", type=int, default=6, help="measured, of a side and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--busy", action="store_true",
                        help="for a machine that others use: one thread, and processor time counts")
    parser.add_argument("--worker", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.busy:
        options.threads = 1
    return options


def pairs(options):
    path = os.path.join(options.data, "glue", "MRPC", "train.tsv.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def clock(options):
    return time.process_time() if options.busy else time.perf_counter()


# ---- Pare: pare_train for as many steps, and for the warm-up alone ----


class ClassificationOptions(Structure):
    _fields_ = [("task", c_char_p), ("train", c_char_p), ("valid", c_char_p), ("test", c_char_p),
                ("text_columns", c_char_p * 2), ("label_column", c_char_p), ("header", c_bool),
                ("regression", c_bool), ("length", c_size_t), ("batch", c_size_t),
                ("tokens", c_size_t), ("seed", c_uint64)]


class TrainingOptions(Structure):
    _fields_ = [("optimizer", c_int), ("schedule", c_int), ("rate", c_double),
                ("minimum_rate", c_double), ("beta1", c_double), ("beta2", c_double),
                ("epsilon", c_double), ("weight_decay", c_double), ("clip", c_double),
                ("precision", c_int), ("warmup", c_uint64), ("steps", c_uint64),
                ("epochs", c_double), ("accumulation", c_uint64), ("keep", c_int),
                ("averaged", c_uint64), ("evaluate_every", c_uint64),
                ("patience", c_uint64), ("checkpoint_every", c_uint64),
                ("checkpoint_seconds", c_double), ("log_every", c_uint64), ("seed", c_uint64)]


class TrainingResult(Structure):
    _fields_ = [("steps", c_uint64), ("tokens", c_uint64), ("best_loss", c_double),
                ("best_metric", c_double), ("best_step", c_uint64), ("seconds", c_double),
                ("attention_seconds", c_double), ("tokens_per_second", c_double),
                ("peak_bytes", c_size_t), ("stopped_early", c_bool)]


CLASSIFICATION_HEAD, ADAMW, CONSTANT = 1, 1, 0


def small_validation_set(options, directory):
    """Evaluation is not what is measured: eight pairs."""
    path = os.path.join(directory, "valid.tsv")
    with open(path, "w", encoding="utf-8") as file:
        rows = pairs(options)
        file.write("\t".join(rows[0]) + "\n")
        for row in rows[:8]:
            file.write("\t".join(row.values()) + "\n")
    return path


class PareTraining:
    def __init__(self, options, directory):
        from pare_library import Library

        self.options, self.directory = options, directory
        self.library = Library(options.library, options.threads)
        f = self.functions = self.library.functions
        f.pare_training_options_default.restype = TrainingOptions
        f.pare_wordpiece_load.argtypes = [c_char_p, POINTER(c_void_p)]
        f.pare_classification_create.argtypes = [POINTER(ClassificationOptions), c_void_p,
                                                 POINTER(c_void_p)]
        f.pare_bert_load_with_head.argtypes = [c_void_p, c_char_p, c_int, c_size_t, c_uint64,
                                               POINTER(c_void_p)]
        f.pare_task_destroy.argtypes = [c_void_p]
        f.pare_tape_create.argtypes = [c_void_p, POINTER(c_void_p)]
        f.pare_train.argtypes = [c_void_p, c_void_p, c_void_p, POINTER(TrainingOptions), c_char_p,
                                 c_void_p, POINTER(TrainingResult)]
        self.tokenizer, self.tape = c_void_p(), c_void_p()
        model = options.model.encode()
        self.library.check(f.pare_wordpiece_load(model, byref(self.tokenizer)))
        self.library.check(f.pare_tape_create(self.library.context, byref(self.tape)))
        self.valid = small_validation_set(options, directory)

    def train(self, steps):
        """Seconds of all steps (of everything, with --busy: only differences count then)."""
        f, task, model = self.functions, c_void_p(), c_void_p()
        data = ClassificationOptions(
            task=b"mrpc", valid=self.valid.encode(), batch=BATCH, seed=1,
            train=os.path.join(self.options.data, "glue", "MRPC", "train.tsv.gz").encode())
        self.library.check(f.pare_classification_create(byref(data), self.tokenizer, byref(task)))
        self.library.check(f.pare_bert_load_with_head(
            self.library.context, self.options.model.encode(), CLASSIFICATION_HEAD, 2, 1,
            byref(model)))
        settings = f.pare_training_options_default()
        settings.optimizer, settings.schedule, settings.rate = ADAMW, CONSTANT, RATE
        settings.clip, settings.steps, settings.evaluate_every = CLIP, steps, steps
        result = TrainingResult()
        begin = clock(self.options)
        self.library.check(f.pare_train(
            model, task, self.tape, byref(settings),
            os.path.join(self.directory, str(steps)).encode(), None, byref(result)))
        seconds = clock(self.options) - begin if self.options.busy else result.seconds
        f.pare_model_destroy(model)
        f.pare_task_destroy(task)
        return seconds


def run_pare(options):
    with tempfile.TemporaryDirectory() as directory:
        training = PareTraining(options, directory)
        return (training.train(WARM_UP + options.steps) - training.train(WARM_UP)) / options.steps


# ---- PyTorch ----


def run_torch(options, compiled):
    import torch
    from transformers import BertForSequenceClassification, BertTokenizerFast

    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    tokenizer = BertTokenizerFast.from_pretrained(options.model)
    model = BertForSequenceClassification.from_pretrained(options.model, num_labels=2).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    forward = torch.compile(model, dynamic=True) if compiled else model
    rows = pairs(options)
    order = torch.randperm(len(rows)).tolist()
    seconds = []
    for step in range(WARM_UP + options.steps):
        batch = [rows[i] for i in order[step * BATCH:(step + 1) * BATCH]]
        inputs = tokenizer([row["#1 String"] for row in batch], [row["#2 String"] for row in batch],
                           padding=True, truncation=True, max_length=128, return_tensors="pt")
        labels = torch.tensor([int(row["Quality"]) for row in batch])
        begin = clock(options)
        loss = forward(**inputs, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        if step >= WARM_UP:
            seconds.append(clock(options) - begin)
    return statistics.mean(seconds)


def run_worker(options):
    warnings.filterwarnings("ignore")
    seconds = (run_pare(options) if options.worker == "pare"
               else run_torch(options, options.worker == "compile"))
    print(json.dumps({"step_seconds": seconds, "peak_bytes":
                      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


# ---- All sides ----


def run_side(options, side):
    command = [sys.executable, os.path.abspath(__file__), "--worker", side, "--model",
               options.model, "--data", options.data, "--library", options.library, "--steps",
               str(options.steps), "--threads", str(options.threads)]
    result = subprocess.run(command + ["--busy"] * options.busy, check=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return json.loads(result.stdout.splitlines()[-1])


def main():
    options = parse_arguments()
    if options.worker:
        run_worker(options)
        return
    sides = options.sides.split(",")
    rounds = []
    for index in range(options.rounds):
        rounds.append({side: run_side(options, side) for side in sides})
        print(f"round {index + 1}: ms " + ", ".join(
            f"{NAMES[side]} {1e3 * rounds[-1][side]['step_seconds']:.0f}" for side in sides),
            flush=True)
    print("\n| | step, ms | ratio | peak memory, MB | ratio |\n|---|---:|---:|---:|---:|")
    for side in sides:
        cells = []
        for key, unit in (("step_seconds", 1e-3), ("peak_bytes", 1e6)):
            cells.append(f"{statistics.median(one[side][key] for one in rounds) / unit:.0f}")
            ratio = statistics.median(one[side][key] / one[sides[0]][key] for one in rounds)
            cells.append(f"{ratio:.2f}")
        print(f"| {NAMES[side]} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
