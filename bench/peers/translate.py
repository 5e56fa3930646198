#!/usr/bin/env python3
"""Translation in Pare and in other libraries, side by side, on the CPU.

    bench/peers/run translate --model DIRECTORY --text SENTENCES
    bench/peers/run translate --shape iwslt --text SENTENCES

DIRECTORY is a translation model that Pare trained; without one, weights are random in a shape and
words are numbered as they appear. Every side has the same weights, beam, end of search and limit of
length, as many sentences at a time, and a process of its own. Translations are compared with Pare's
before they are timed. In every round each side takes its turn; times are medians over rounds, ratios
are of seconds per translated token, the other's / Pare's (above 1 Pare is faster), medians with
quartiles.

The text is handed over as a whole, so that each library may sort it by length, or as sentences come:
a call for each batch, in the order of the file. Random weights never say the end token: every
translation has the same number of tokens. Reading and cutting text into tokens is not timed.
"""

import argparse
import gzip
import json
import os
import statistics
import tempfile
import warnings

import translate_peers as peers
from pare_library import Library
from sides import SideProcess, Worker, available, quartiles, spaced

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SHAPES = {  # layers of encoder and decoder, size, heads, inner size, words
    "small": (3, 256, 4, 1024, 8000),
    "iwslt": (6, 512, 4, 1024, 10000),
}
POSITIONS, PADDING, END = 512, 1, 2
FIRST_WORD = 4  # after the special tokens
NEVER = -1e4    # added to a logit


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", help="a directory that Pare trained")
    parser.add_argument("--shape", choices=SHAPES, help="random weights instead")
    parser.add_argument("--text", help="sentences, plain or gzip; default: the test set of Multi30k "
                                       "in PARE_DATA, tokenised")
    parser.add_argument("--sentences", type=int, default=1000, help="at most, evenly spaced")
    parser.add_argument("--length", type=int, help="of translations, in tokens; default: the "
                                                   "limit, 64, and 24 with --shape")
    parser.add_argument("--beams", default="1,5")
    parser.add_argument("--batch", type=int, default=64, help="sentences at a time")
    parser.add_argument("--masks", help="of this directory, for a pruned Pare")
    parser.add_argument("--percents", default="60,90",
                        help="pruned, by the model's own average; nothing: none")
    parser.add_argument("--orders", default="whole,come", help="whole: one call; come: as they come")
    parser.add_argument("--library", default=os.path.join(ROOT, "build", "libpare.so"))
    parser.add_argument("--output", default=os.path.join(ROOT, "build", "peers", "translate.json"))
    parser.add_argument("--without", default="", help="names of sides to leave out, by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--busy", action="store_true",
                        help="for a machine that others use: one thread, and processor time counts")
    options = parser.parse_args()
    if options.busy:
        options.threads = 1
    check_arguments(options)
    return options


def check_arguments(options):
    if bool(options.model) == bool(options.shape):
        raise SystemExit("translate.py: give --model or --shape")
    if not options.text:
        options.text = os.path.join(os.environ.get("PARE_DATA", ""), "multi30k-en-de", "tok",
                                    "test_2016_flickr.lc.norm.tok.en.gz")
    if not options.length:
        options.length = 24 if options.shape else 64
    for path, remedy in ((options.library, "run 'make build' first"),
                         (options.text, "name sentences by --text, or set PARE_DATA"),
                         (options.model or HERE, "train one with pare train")):
        if not os.path.exists(path):
            raise SystemExit(f"translate.py: there is no '{path}'; {remedy}")


# ---- The model ----


def save_random_model(shape, directory):
    import torch
    import transformers

    layers, size, heads, inner, words = shape
    torch.manual_seed(1)
    model = transformers.MarianMTModel(transformers.MarianConfig(
        vocab_size=words, d_model=size, encoder_layers=layers, decoder_layers=layers,
        encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=inner,
        decoder_ffn_dim=inner, max_position_embeddings=POSITIONS, activation_function="relu",
        scale_embedding=True, init_std=size ** -0.5, pad_token_id=PADDING, eos_token_id=END,
        decoder_start_token_id=END, forced_eos_token_id=None))
    model.final_logits_bias[0, [PADDING, END]] = NEVER
    model.save_pretrained(directory)


def make_setting(options, work):
    directory = options.model or os.path.join(work, "model")
    if options.shape:
        save_random_model(SHAPES[options.shape], directory)
    try:
        peers.convert_for_ctranslate2(directory, os.path.join(work, "ctranslate2"))
    except ImportError:
        pass  # its side says so
    return peers.Setting(options.library, directory, work, options.threads)


# ---- Sentences ----


def read_lines(options):
    opened = gzip.open if options.text.endswith(".gz") else open
    with opened(options.text, "rt", encoding="utf-8") as file:
        return spaced([line.strip() for line in file if line.strip()], options.sentences)


def pieces(lines, options):
    from tokenizers import Tokenizer

    path = os.path.join(options.model, "tokenizer.json")
    if not os.path.exists(path):
        path = os.path.join(options.model, "source_tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    return [tokenizer.encode(line, add_special_tokens=False).ids for line in lines]


def numbered(lines, vocabulary):
    numbers = {}
    return [[FIRST_WORD + numbers.setdefault(word, len(numbers)) % (vocabulary - FIRST_WORD)
             for word in line.split()] for line in lines]


def read_sources(options, setting):
    lines = read_lines(options)
    sentences = pieces(lines, options) if options.model else numbered(lines, setting.words)
    return [ids[:setting.positions - 1] + [setting.end] for ids in sentences]


def calls(sources, order, batch):
    if order == "whole":
        return [sources]
    return [sources[i:i + batch] for i in range(0, len(sources), batch)]


# ---- Measuring ----


class Translating(Worker):
    def prepare(self, called, search):
        """The translations, of a first run that is not measured."""
        self.prepared = [self.side.prepare(call, search) for call in called]
        return [words for prepared in self.prepared
                for words in self.side.words(self.side.run(prepared))]

    def take_turn(self):
        results, seconds = self.time(self.side.run, self.prepared)
        for result in results:
            self.side.words(result)
        return seconds


class Contestant(SideProcess):
    def prepare(self, called, search):
        self.samples = []
        self.translations = self.ask("prepare", called, search)
        self.tokens = sum(len(words) + 1 for words in self.translations)

    def take_turn(self):
        self.samples.append(self.ask("take_turn"))

    def row(self, first):
        ratios = [theirs / self.tokens / (ours / first.tokens)
                  for theirs, ours in zip(self.samples, first.samples)]
        lower, ratio, upper = quartiles(ratios)
        same = sum(map(list.__eq__, self.translations, first.translations))
        seconds = statistics.median(self.samples)
        return {"name": self.name, "seconds": seconds, "tokens": self.tokens,
                "tokens_per_second": self.tokens / seconds, "ratio": ratio,
                "lower_quartile": lower, "upper_quartile": upper,
                "same_translations": same / len(self.translations),
                "peak_bytes": self.ask("peak_bytes")}


def measure(contestants, called, search, options):
    for contestant in contestants:
        contestant.prepare(called, search)
    for _ in range(options.rounds):
        for contestant in contestants:
            contestant.take_turn()
    return [contestant.row(contestants[0]) for contestant in contestants]


ORDERS = {"whole": "in one call", "come": "as they come"}


def print_rows(rows, search, order):
    print(f"\nbeam {search.beam}, {ORDERS[order]}, {search.batch} at a time\n")
    print("| | s | tokens/s | ratio | quartiles | same translations | memory, MB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        print(f"| {row['name']} | {row['seconds']:.3f} | {row['tokens_per_second']:,.0f} | "
              f"{row['ratio']:.2f} | {row['lower_quartile']:.2f} .. {row['upper_quartile']:.2f} | "
              f"{row['same_translations']:.1%} | {row['peak_bytes'] / 1e6:.0f} |", flush=True)


# ---- All sides ----


def list_sides(setting, sources, options):
    """Of each side its name, class and arguments; the others are compared with the first."""
    left_out = options.without.split(",")
    sides = [(side.name, side, (setting,)) for side in peers.SIDES
             if side is peers.Pare or side.name not in left_out]
    if options.masks:
        sides.append((peers.PareMasked.name, peers.PareMasked, (setting, options.masks)))
    search = peers.Search(1, options.length, options.batch)
    for percent in map(float, filter(None, options.percents.split(","))):
        sides.append((f"Pare, {percent:g}% pruned", peers.ParePruned,
                      (setting, percent, spaced(sources, 256), search)))
    return sides


def start_sides(setting, sources, options):
    return available(Contestant(name, Translating, side, arguments, options.busy)
                     for name, side, arguments in list_sides(setting, sources, options))


def describe(sources, options):
    lengths = [len(source) for source in sources]
    return (f"{len(sources)} sentences of {min(lengths)} to {max(lengths)} tokens, mean "
            f"{statistics.mean(lengths):.1f}; translations of at most {options.length}")


def main():
    options = parse_arguments()
    warnings.filterwarnings("ignore")
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    with tempfile.TemporaryDirectory() as directory:
        setting = make_setting(options, directory)
        sources = read_sources(options, setting)
        machine = Library(options.library, options.threads).describe()
        print(f"{machine}, {options.threads} threads; {describe(sources, options)}; {options.rounds}"
              " rounds; ratio above 1: Pare is faster", flush=True)
        result = {"machine": machine, "options": vars(options),
                  "sentences": describe(sources, options), "rows": []}
        contestants = start_sides(setting, sources, options)
        for beam in map(int, options.beams.split(",")):
            search = peers.Search(beam, options.length, options.batch)
            for order in options.orders.split(","):
                called = calls(sources, order, options.batch)
                rows = measure(contestants, called, search, options)
                print_rows(rows, search, order)
                result["rows"] += [{"beam": beam, "order": order, **row} for row in rows]
    os.makedirs(os.path.dirname(os.path.abspath(options.output)), exist_ok=True)
    with open(options.output, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
