"""The translators that translate.py compares: one class each. A source is a list of token ids, the
end token last; a call is a list of sources that a program hands over at once, and every side may
order it as it likes. prepare() arranges a call beforehand, run() translates it, words() gives each
source's best translation as token ids without the end token, in the order of the call."""

import json
import os

import numpy

from pare_library import BF16, FP32, LIMIT_CUT, STOP_FULL, Library, TranslateOptions, Translator
from sides import Unavailable
from translation_masks import Averages, load_masks


class Setting:
    """What all sides share."""

    def __init__(self, library, model, work, threads):
        self.library, self.model, self.work, self.threads = library, model, work, threads
        with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        self.words, self.positions = config["vocab_size"], config["max_position_embeddings"]
        self.padding, self.end = config["pad_token_id"], config["eos_token_id"]


class Search:
    """What all sides are asked for. Translations end when `beam` hypotheses are complete, or with
    `length` tokens, the end token among them; hypotheses are ranked by log-probability per token."""

    def __init__(self, beam, length, batch):
        self.beam, self.length, self.batch = beam, length, batch


class Pare:
    name = "Pare"
    precision = FP32

    def __init__(self, setting):
        self.setting = setting
        self.library = Library(setting.library, setting.threads)
        self.translator = Translator(self.library, setting.model, self.precision, self.masks())

    def masks(self):
        return None

    def prepare(self, call, search):
        offsets = numpy.cumsum([0] + [len(source) for source in call]).astype(numpy.uint64)
        return (offsets, numpy.concatenate(call).astype(numpy.uint32)), TranslateOptions(
            beam=search.beam, length_penalty=1.0, length_extra=search.length, stop=STOP_FULL,
            limit=LIMIT_CUT, n_best=1, batch=search.batch)

    def run(self, prepared):
        return self.translator.translate(*prepared)

    def words(self, translations):
        """Once; then they are gone."""
        found = [list(hypothesis.tokens[:hypothesis.length])
                 for hypothesis in translations.hypotheses[:translations.sentences]]
        self.translator.free(translations)
        return [words[:-1] if words[-1] == self.setting.end else words for words in found]


class PareBf16(Pare):
    name = "Pare bf16"
    precision = BF16


class PareMasked(Pare):
    """Under the masks of a directory."""
    name = "Pare, masks of the directory"

    def __init__(self, setting, directory):
        self.directory = directory
        super().__init__(setting)

    def masks(self):
        return load_masks(self.library, self.directory)


class ParePruned(Pare):
    """Under masks from the average of the model's own attention, over `sources` and what it makes
    of them."""

    def __init__(self, setting, percent, sources, search):
        self.percent, self.sources, self.search = percent, sources, search
        super().__init__(setting)

    def masks(self):
        dense = Pare(self.setting)
        said = dense.words(dense.run(dense.prepare(self.sources, self.search)))
        longest = max(self.search.length + 1, *map(len, self.sources))
        return Averages(self.library, self.setting.model, self.sources,
                        [words + [self.setting.end] for words in said], longest
                        ).masks(self.percent)


def convert_for_ctranslate2(source, directory):
    """A MarianMTModel as it is: the converter that comes with the library takes the last row of the
    vocabulary for padding, drops it, and has the decoder begin with a vector of zeros. Words are
    the numbers of the tokens."""
    from ctranslate2.converters import converter, transformers as transformers_converter
    import transformers

    model = transformers.MarianMTModel.from_pretrained(source)
    model.requires_grad_(False)

    class Converter(converter.Converter):
        def _load(self):
            config = model.config
            config.normalize_before = config.normalize_embedding = False
            specification = transformers_converter.BartLoader().get_model_spec(model)
            specification.register_source_vocabulary(numbers(config.vocab_size))
            specification.register_target_vocabulary(numbers(model.lm_head.out_features))
            words = specification.config
            words.eos_token = str(config.eos_token_id)
            words.unk_token = str(config.pad_token_id)  # of words that no source here has
            words.bos_token = words.decoder_start_token = str(config.decoder_start_token_id)
            return specification

    Converter().convert(directory, force=True)


def numbers(count):
    return [str(number) for number in range(count)]


class CTranslate2:
    """A call is sorted by length and cut into batches by the library."""
    name = "CTranslate2"

    def __init__(self, setting):
        try:
            import ctranslate2
        except ImportError as error:
            raise Unavailable(f"{error.name} is not installed") from error
        self.translator = ctranslate2.Translator(
            os.path.join(setting.work, "ctranslate2"), "cpu", compute_type="float32",
            inter_threads=1, intra_threads=setting.threads)

    def prepare(self, call, search):
        return [[str(token) for token in source] for source in call], {
            "beam_size": search.beam, "patience": 1, "length_penalty": 1,
            "max_decoding_length": search.length, "max_input_length": 0,
            "max_batch_size": search.batch, "batch_type": "examples"}

    def run(self, prepared):
        sources, options = prepared
        return self.translator.translate_batch(sources, **options)

    def words(self, results):
        return [[int(word) for word in result.hypotheses[0]] for result in results]


class PyTorch:
    """generate() of transformers, with its default attention (scaled_dot_product_attention). A call
    is sorted by length and cut into batches here, before it is timed."""
    name = "PyTorch"

    def __init__(self, setting):
        import torch
        import transformers

        torch.set_num_threads(setting.threads)
        transformers.utils.logging.disable_progress_bar()
        self.torch, self.setting = torch, setting
        self.model = transformers.MarianMTModel.from_pretrained(setting.model).eval()
        self.model.generation_config.forced_eos_token_id = None

    def batch(self, sources):
        """The first is the longest."""
        ids = self.torch.full((len(sources), len(sources[0])), self.setting.padding)
        mask = self.torch.zeros_like(ids)
        for row, source in enumerate(sources):
            ids[row, :len(source)] = self.torch.tensor(source)
            mask[row, :len(source)] = 1
        return {"input_ids": ids, "attention_mask": mask}

    def prepare(self, call, search):
        order = sorted(range(len(call)), key=lambda place: -len(call[place]))
        batches = [self.batch([call[place] for place in order[begin:begin + search.batch]])
                   for begin in range(0, len(order), search.batch)]
        options = {"num_beams": search.beam, "do_sample": False, "max_new_tokens": search.length}
        if search.beam > 1:
            options.update(early_stopping=True, length_penalty=1.0)
        return order, batches, options

    def run(self, prepared):
        order, batches, options = prepared
        with self.torch.inference_mode():
            return order, [self.model.generate(**batch, **options) for batch in batches]

    def words(self, results):
        order, batches = results
        rows = [row[1:].tolist() for batch in batches for row in batch]
        found, end = [None] * len(order), self.setting.end
        for place, row in zip(order, rows):
            found[place] = row[:row.index(end)] if end in row else row
        return found


SIDES = [Pare, PareBf16, CTranslate2, PyTorch]
