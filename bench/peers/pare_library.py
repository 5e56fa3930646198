"""Attention, encoders and translation of libpare through ctypes, on numpy arrays, as
include/pare/attention.h and model.h describe them."""

import ctypes
from ctypes import POINTER, Structure, byref, c_bool, c_char_p, c_double, c_float, c_int, c_size_t
from ctypes import c_uint64, c_void_p

import numpy

ROW_FUNCTION = ctypes.CFUNCTYPE(None, c_void_p, c_size_t, c_size_t, POINTER(ctypes.c_uint8))


class View(Structure):
    _fields_ = [("data", c_void_p), ("token_stride", c_size_t), ("head_stride", c_size_t)]


class Ragged(Structure):
    _fields_ = [("offsets", POINTER(c_size_t)), ("count", c_size_t)]


class Call(Structure):
    _fields_ = [("heads", c_size_t), ("head_size", c_size_t), ("scale", c_float),
                ("query", View), ("key", View), ("value", View), ("output", View),
                ("queries", Ragged), ("keys", Ragged), ("causal", c_bool), ("window", c_size_t),
                ("relative", c_void_p), ("plan", c_void_p), ("logsumexp", c_void_p),
                ("dropout", c_float), ("dropout_key", ctypes.c_uint64), ("observer", c_void_p),
                ("precision", c_int)]


class Gradient(Structure):
    _fields_ = [("output_gradient", View), ("query", View), ("key", View), ("value", View),
                ("content_bias", c_void_p), ("position_bias", c_void_p), ("table", View)]


class Geometry(Structure):
    _fields_ = [("heads", c_size_t), ("queries", c_size_t), ("keys", c_size_t), ("causal", c_bool)]


class ContextOptions(Structure):
    _fields_ = [("threads", c_int), ("level", c_char_p)]


class EncoderBatch(Structure):
    _fields_ = [("sequences", c_size_t), ("offsets", c_void_p), ("tokens", c_void_p),
                ("segments", c_void_p)]


class InferenceOutput(Structure):
    _fields_ = [("hidden", c_void_p), ("labels", c_void_p), ("spans", c_void_p),
                ("words", c_void_p), ("rows", c_void_p), ("row_count", c_size_t)]


class TranslateOptions(Structure):
    _fields_ = [("beam", c_size_t), ("length_penalty", c_double), ("length_factor", c_double),
                ("length_extra", c_double), ("stop", c_int), ("limit", c_int),
                ("n_best", c_size_t), ("batch", c_size_t)]


class Hypothesis(Structure):
    _fields_ = [("length", c_size_t), ("tokens", POINTER(ctypes.c_uint32)),
                ("log_probabilities", c_void_p), ("log_probability", c_double),
                ("score", c_double)]


class Translations(Structure):
    _fields_ = [("sentences", c_size_t), ("n_best", c_size_t), ("hypotheses", POINTER(Hypothesis)),
                ("steps", c_uint64), ("rows", c_uint64), ("tokens", c_void_p),
                ("log_probabilities", c_void_p)]


FP32, BF16 = 0, 1
SELF, DECODER, CROSS = KINDS = range(3)  # of attention
STOP_FULL, LIMIT_CUT = 0, 2


class Library:
    """libpare with one context."""

    def __init__(self, path, threads):
        self.functions = ctypes.CDLL(path)
        f = self.functions
        f.pare_error_message.restype = c_char_p
        f.pare_cpu_name.restype = c_char_p
        f.pare_level_name.restype = c_char_p
        f.pare_context_create.argtypes = [c_void_p, POINTER(c_void_p)]
        f.pare_context_level.argtypes = [c_void_p]
        f.pare_attention_workspace.argtypes = [c_void_p, POINTER(Call)]
        f.pare_attention_workspace.restype = c_size_t
        f.pare_attention_forward.argtypes = [c_void_p, POINTER(Call), c_void_p]
        f.pare_attention_backward.argtypes = [c_void_p, POINTER(Call), POINTER(Gradient), c_void_p]
        f.pare_plan_create.argtypes = [POINTER(Geometry), ROW_FUNCTION, c_void_p, POINTER(c_void_p)]
        f.pare_plan_destroy.argtypes = [c_void_p]
        f.pare_model_load.argtypes = [c_void_p, c_char_p, POINTER(c_void_p)]
        f.pare_model_destroy.argtypes = [c_void_p]
        f.pare_mask_destroy.argtypes = [c_void_p]
        f.pare_model_set_mask.argtypes = [c_void_p, c_int, c_void_p]
        f.pare_inference_create.argtypes = [c_void_p, c_int, POINTER(c_void_p)]
        f.pare_inference_destroy.argtypes = [c_void_p]
        f.pare_inference_run.argtypes = [c_void_p, POINTER(EncoderBatch),
                                         POINTER(InferenceOutput)]
        f.pare_inference_attention_seconds.argtypes = [c_void_p]
        f.pare_inference_attention_seconds.restype = c_double
        f.pare_translator_create.argtypes = [c_void_p, c_int, POINTER(c_void_p)]
        f.pare_translator_destroy.argtypes = [c_void_p]
        f.pare_translator_attention_seconds.argtypes = [c_void_p]
        f.pare_translator_attention_seconds.restype = c_double
        f.pare_translate.argtypes = [c_void_p, POINTER(Ragged), c_void_p, POINTER(TranslateOptions),
                                     POINTER(Translations)]
        f.pare_translations_free.argtypes = [POINTER(Translations)]
        self.context = c_void_p()
        options = ContextOptions(threads, None)
        self.check(f.pare_context_create(byref(options), byref(self.context)))

    def check(self, status):
        if status:
            raise RuntimeError(self.functions.pare_error_message().decode())

    def describe(self):
        level = self.functions.pare_context_level(self.context)
        return (f"{self.functions.pare_cpu_name().decode()}, "
                f"{self.functions.pare_level_name(level).decode()}")


class Plan:
    """row(head, row) gives the kept cells of a row, one byte each."""

    def __init__(self, library, heads, queries, keys, causal, row):
        def fill(_, head, index, target):
            kept = numpy.ascontiguousarray(row(head, index), dtype=numpy.uint8)
            ctypes.memmove(target, kept.ctypes.data, keys)

        self.library = library
        self.pointer = c_void_p()
        geometry = Geometry(heads, queries, keys, causal)
        library.check(library.functions.pare_plan_create(
            byref(geometry), ROW_FUNCTION(fill), None, byref(self.pointer)))

    def __del__(self):
        self.library.functions.pare_plan_destroy(self.pointer)


def view(array):
    """Of an array (tokens, heads, head size)."""
    heads, size = array.shape[1:]
    return View(array.ctypes.data, heads * size, size)


class Attention:
    """One sequence; query, key, value, output gradient: contiguous fp32 (tokens, heads, size)."""

    def __init__(self, library, query, key, value, output_gradient, causal=False, plan=None):
        self.library = library
        self.inputs = [query, key, value, output_gradient]  # kept alive
        self.plan = plan
        queries, heads, size = query.shape
        self.output = numpy.empty_like(query)
        self.logsumexp = numpy.empty((queries, heads), numpy.float32)
        self.gradients = [numpy.empty_like(array) for array in (query, key, value)]
        self.query_offsets = (c_size_t * 2)(0, queries)
        self.key_offsets = (c_size_t * 2)(0, key.shape[0])
        self.call = Call(
            heads=heads, head_size=size, scale=size ** -0.5, query=view(query), key=view(key),
            value=view(value), output=view(self.output), queries=Ragged(self.query_offsets, 1),
            keys=Ragged(self.key_offsets, 1), causal=causal,
            plan=plan.pointer if plan else None, logsumexp=self.logsumexp.ctypes.data)
        self.gradient = Gradient(view(output_gradient), *map(view, self.gradients))
        f = library.functions
        bytes_needed = f.pare_attention_workspace(library.context, byref(self.call))
        self.workspace_memory = numpy.empty(bytes_needed + 64, numpy.uint8)
        self.workspace = -(-self.workspace_memory.ctypes.data // 64) * 64

    def forward(self):
        self.library.check(self.library.functions.pare_attention_forward(
            self.library.context, byref(self.call), self.workspace))
        return self.output

    def backward(self):
        self.library.check(self.library.functions.pare_attention_backward(
            self.library.context, byref(self.call), byref(self.gradient), self.workspace))
        return self.gradients


class Mask:
    """Owns what `pointer` points to."""

    def __init__(self, library, pointer):
        self.library = library
        self.pointer = pointer

    def __del__(self):
        self.library.functions.pare_mask_destroy(self.pointer)


class Encoder:
    """The encoder of a model directory, for inference; `mask` or None for dense."""

    def __init__(self, library, directory, precision=FP32, mask=None):
        f = library.functions
        self.library = library
        self.mask = mask
        self.model, self.inference = c_void_p(), c_void_p()
        library.check(f.pare_model_load(library.context, directory.encode(), byref(self.model)))
        library.check(f.pare_model_set_mask(self.model, SELF, mask.pointer if mask else None))
        library.check(f.pare_inference_create(self.model, precision, byref(self.inference)))

    def __del__(self):
        self.library.functions.pare_inference_destroy(self.inference)
        self.library.functions.pare_model_destroy(self.model)

    def attention_seconds(self):
        return self.library.functions.pare_inference_attention_seconds(self.inference)

    def run(self, batch, **wanted):
        """Fills arrays: hidden=(tokens, size), labels=(sequences, labels), spans=(tokens, 2). The
        batch is (offsets uint64, tokens uint32, segments uint32)."""
        offsets, tokens, segments = batch
        call = EncoderBatch(len(offsets) - 1, offsets.ctypes.data, tokens.ctypes.data,
                            segments.ctypes.data)
        output = InferenceOutput(**{name: array.ctypes.data for name, array in wanted.items()})
        self.library.check(self.library.functions.pare_inference_run(
            self.inference, byref(call), byref(output)))


class Translator:
    """The encoder-decoder model of a directory at work; `masks` has one Mask of each kind of
    attention, or is None for dense."""

    def __init__(self, library, directory, precision=FP32, masks=None):
        f = library.functions
        self.library = library
        self.masks = masks
        self.model, self.translator = c_void_p(), c_void_p()
        library.check(f.pare_model_load(library.context, directory.encode(), byref(self.model)))
        for kind in KINDS:
            pointer = masks[kind].pointer if masks else None
            library.check(f.pare_model_set_mask(self.model, kind, pointer))
        library.check(f.pare_translator_create(self.model, precision, byref(self.translator)))

    def __del__(self):
        self.library.functions.pare_translator_destroy(self.translator)
        self.library.functions.pare_model_destroy(self.model)

    def attention_seconds(self):
        return self.library.functions.pare_translator_attention_seconds(self.translator)

    def translate(self, sources, options):
        """The sources are (offsets uint64, tokens uint32). Free what comes back."""
        offsets, tokens = sources
        ragged = Ragged(offsets.ctypes.data_as(POINTER(c_size_t)), len(offsets) - 1)
        translations = Translations()
        self.library.check(self.library.functions.pare_translate(
            self.translator, byref(ragged), tokens.ctypes.data, byref(options),
            byref(translations)))
        return translations

    def free(self, translations):
        self.library.functions.pare_translations_free(byref(translations))
