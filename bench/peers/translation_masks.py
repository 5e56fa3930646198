"""Masks of a translation model: those of a directory, or from the average of its own attention over
sentences and its translations of them, through libpare alone."""

import ctypes
import os
from ctypes import POINTER, Structure, byref, c_size_t, c_void_p

import numpy

from bert_masks import PruneOptions, declare
from pare_library import KINDS, Mask


class TranslationBatch(Structure):
    _fields_ = [("pairs", c_size_t), ("source_offsets", c_void_p), ("source", c_void_p),
                ("target_offsets", c_void_p), ("target", c_void_p)]


FILES = ["mask-encoder.safetensors", "mask-decoder.safetensors", "mask-cross.safetensors"]


def load_masks(library, directory):
    """One of each kind of attention; a kind without a file is dense."""
    f = library.functions
    f.pare_mask_load.argtypes = [ctypes.c_char_p, POINTER(c_void_p)]
    masks = []
    for name in FILES:
        pointer, path = c_void_p(), os.path.join(directory, name)
        if os.path.exists(path):
            library.check(f.pare_mask_load(path.encode(), byref(pointer)))
        masks.append(Mask(library, pointer))
    return masks


def end_to_end(sequences):
    offsets = numpy.cumsum([0] + [len(tokens) for tokens in sequences]).astype(numpy.uint64)
    return offsets, numpy.concatenate(sequences).astype(numpy.uint32)


class Averages:
    """Of each kind of attention, over pairs of token ids."""

    def __init__(self, library, directory, sources, targets, length):
        f = self.functions = library.functions
        declare(f)
        f.pare_translation_hidden.argtypes = [c_void_p, c_void_p, POINTER(TranslationBatch)]
        f.pare_translation_hidden.restype = c_void_p
        self.library = library
        self.averages = [c_void_p() for _ in KINDS]
        model, tape = c_void_p(), c_void_p()
        library.check(f.pare_model_load(library.context, directory.encode(), byref(model)))
        library.check(f.pare_tape_create(library.context, byref(tape)))
        for kind, average in zip(KINDS, self.averages):
            geometry = f.pare_model_attention_geometry(model, kind, length)
            library.check(f.pare_average_create(byref(geometry), byref(average)))
            f.pare_model_observe(model, kind, average)
        self.observe(model, tape, sources, targets)
        f.pare_tape_destroy(tape)
        f.pare_model_destroy(model)

    def observe(self, model, tape, sources, targets):
        arrays = [*end_to_end(sources), *end_to_end(targets)]
        batch = TranslationBatch(len(sources), *(array.ctypes.data for array in arrays))
        self.functions.pare_tape_begin(tape, False, 0)
        self.functions.pare_translation_hidden(model, tape, byref(batch))
        self.library.check(self.functions.pare_tape_status(tape))
        for average in self.averages:
            self.functions.pare_average_add_examples(average, len(sources))

    def masks(self, percent):
        """Cells, `percent` of each layer's pruned, in all kinds."""
        masks = []
        for average in self.averages:
            pointer = c_void_p()
            self.library.check(self.functions.pare_mask_create(
                average, byref(PruneOptions(percent=percent)), byref(pointer)))
            masks.append(Mask(self.library, pointer))
        return masks

    def __del__(self):
        for average in self.averages:
            self.functions.pare_average_destroy(average)
