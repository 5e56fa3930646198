"""A mask from the average attention of a model over sentences, through libpare alone."""

import ctypes
from ctypes import POINTER, Structure, byref, c_bool, c_double, c_int, c_size_t, c_uint64, c_void_p

import numpy

from pare_library import SELF, EncoderBatch, Mask


class Geometry(Structure):
    _fields_ = [("kind", c_int), ("layers", c_size_t), ("heads", c_size_t), ("queries", c_size_t),
                ("keys", c_size_t), ("causal", c_bool), ("window", c_size_t),
                ("ends_first", c_bool), ("ratio", c_double)]


class PruneOptions(Structure):
    _fields_ = [("method", c_int), ("geometry", c_int), ("average", c_int), ("scope", c_int),
                ("empty_row", c_int), ("percent", c_double), ("seed", c_uint64),
                ("layers_to_prune", c_void_p), ("block", c_size_t)]


def add_sentences(library, model, tape, batch):
    """What `average` observes when it is set on the model: one evaluation pass."""
    offsets = numpy.cumsum([0] + [len(ids) for ids, _ in batch]).astype(numpy.uint64)
    tokens, segments = (numpy.concatenate([sentence[part] for sentence in batch])
                        .astype(numpy.uint32) for part in (0, 1))
    call = EncoderBatch(len(batch), offsets.ctypes.data, tokens.ctypes.data, segments.ctypes.data)
    library.functions.pare_tape_begin(tape, False, 0)
    library.functions.pare_encoder_hidden(model, tape, byref(call))
    library.check(library.functions.pare_tape_status(tape))


def declare(f):
    f.pare_average_create.argtypes = [POINTER(Geometry), POINTER(c_void_p)]
    f.pare_average_destroy.argtypes = [c_void_p]
    f.pare_average_add_examples.argtypes = [c_void_p, c_uint64]
    f.pare_model_attention_geometry.argtypes = [c_void_p, c_int, c_size_t]
    f.pare_model_attention_geometry.restype = Geometry
    f.pare_model_observe.argtypes = [c_void_p, c_int, c_void_p]
    f.pare_mask_create.argtypes = [c_void_p, POINTER(PruneOptions), POINTER(c_void_p)]
    f.pare_tape_create.argtypes = [c_void_p, POINTER(c_void_p)]
    f.pare_tape_begin.argtypes = [c_void_p, c_bool, c_uint64]
    f.pare_tape_status.argtypes = [c_void_p]
    f.pare_tape_destroy.argtypes = [c_void_p]
    f.pare_encoder_hidden.argtypes = [c_void_p, c_void_p, POINTER(EncoderBatch)]
    f.pare_encoder_hidden.restype = c_void_p


def average_mask(library, directory, batches, length, percent):
    """Cells, in the order of the sentence, `percent` of each layer's pruned."""
    f = library.functions
    declare(f)
    model, tape, average, mask = (c_void_p() for _ in range(4))
    library.check(f.pare_model_load(library.context, directory.encode(), byref(model)))
    library.check(f.pare_tape_create(library.context, byref(tape)))
    geometry = f.pare_model_attention_geometry(model, SELF, length)
    library.check(f.pare_average_create(byref(geometry), byref(average)))
    f.pare_model_observe(model, SELF, average)
    for batch in batches:
        add_sentences(library, model, tape, batch)
        f.pare_average_add_examples(average, len(batch))
    options = PruneOptions(percent=percent)
    library.check(f.pare_mask_create(average, byref(options), byref(mask)))
    f.pare_average_destroy(average)
    f.pare_tape_destroy(tape)
    f.pare_model_destroy(model)
    return Mask(library, mask)
