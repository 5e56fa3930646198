"""The translators that translate.py compares: one class each. A source is a list of token ids, the
end token last; a call is a list of sources that a program hands over at once, and every side may
order it as it likes. prepare() arranges a call beforehand, run() translates it, words() gives each
source's best translation as token ids without the end token, in the order of the call."""

import os

import numpy
import torch

from pare_library import BF16, FP32, LIMIT_CUT, STOP_FULL, TranslateOptions, Translator


class Unavailable(Exception):
    """The library is not installed, or cannot do this here."""


class Search:
    """What all sides are asked for. Translations end when `beam` hypotheses are complete, or with
    `length` tokens, the end token among them; hypotheses are ranked by log-probability per token."""

    def __init__(self, beam, length, batch):
        self.beam, self.length, self.batch = beam, length, batch


class Pare:
    name = "Pare"
    precision = FP32

    def __init__(self, setting, masks=None):
        self.translator = Translator(setting.library, setting.model, self.precision, masks)
        self.end = setting.config.eos_token_id

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
        return [words[:-1] if words[-1] == self.end else words for words in found]


class PareBf16(Pare):
    name = "Pare bf16"
    precision = BF16


def convert_for_ctranslate2(model, directory):
    """A MarianMTModel as it is: the converter that comes with the library takes the last row of the
    vocabulary for padding, drops it, and has the decoder begin with a vector of zeros. Words are
    the numbers of the tokens."""
    from ctranslate2.converters import converter, transformers

    class Converter(converter.Converter):
        def _load(self):
            config = model.config
            config.normalize_before = config.normalize_embedding = False
            specification = transformers.BartLoader().get_model_spec(model)
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
        path = os.path.join(setting.work, "ctranslate2")
        with torch.no_grad():
            convert_for_ctranslate2(setting.torch_model, path)
        self.translator = ctranslate2.Translator(path, "cpu", compute_type="float32",
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
        self.model = setting.torch_model
        self.end = setting.config.eos_token_id
        self.padding = setting.config.pad_token_id
        self.model.generation_config.forced_eos_token_id = None

    def prepare(self, call, search):
        order = sorted(range(len(call)), key=lambda place: -len(call[place]))
        batches = []
        for begin in range(0, len(order), search.batch):
            sources = [call[place] for place in order[begin:begin + search.batch]]
            ids = torch.full((len(sources), len(sources[0])), self.padding)
            for row, source in enumerate(sources):
                ids[row, :len(source)] = torch.tensor(source)
            mask = torch.arange(ids.shape[1]) < torch.tensor([[len(one)] for one in sources])
            batches.append({"input_ids": ids, "attention_mask": mask.long()})
        return order, batches, {"num_beams": search.beam, "early_stopping": True,
                                "length_penalty": 1.0, "do_sample": False,
                                "max_new_tokens": search.length}

    @torch.inference_mode()
    def run(self, prepared):
        order, batches, options = prepared
        if options["num_beams"] == 1:
            options = {name: options[name] for name in ("num_beams", "do_sample", "max_new_tokens")}
        return order, [self.model.generate(**batch, **options) for batch in batches]

    def words(self, results):
        order, batches = results
        rows = [row[1:].tolist() for batch in batches for row in batch]
        found = [None] * len(order)
        for place, row in zip(order, rows):
            found[place] = row[:row.index(self.end)] if self.end in row else row
        return found


PEERS = [CTranslate2, PyTorch]
