"""The encoders that bert.py compares: one class each. A workload is a list of batches, a batch a
list of sentences, a sentence (token ids, segment ids). prepare() arranges a workload beforehand, as
arrays of the kind the library takes; run() computes what the setting wants: the hidden states of all
tokens, or the labels' logits of all sentences."""

import os
import warnings

import numpy
import torch

from pare_library import BF16, FP32, Encoder


class Unavailable(Exception):
    """The library is not installed, or cannot do this here."""


def padded(batch):
    """Ids, mask and segments, (sentences, longest), as padding libraries take them."""
    shape = (len(batch), max(len(ids) for ids, _ in batch))
    arrays = [numpy.zeros(shape, numpy.int64) for _ in range(3)]
    for row, (ids, segments) in enumerate(batch):
        arrays[0][row, :len(ids)] = ids
        arrays[1][row, :len(ids)] = 1
        arrays[2][row, :len(ids)] = segments
    return arrays


def without_padding(batch, hidden):
    """(tokens, size) of (sentences, longest, size)."""
    return numpy.concatenate([hidden[row, :len(ids)] for row, (ids, _) in enumerate(batch)])


class Pare:
    """Batches without padding."""
    name = "Pare"
    precision = FP32
    pads = False

    def __init__(self, setting, mask=None):
        self.encoder = Encoder(setting.library, setting.model, self.precision, mask)
        self.setting = setting

    def prepare(self, workload):
        prepared = []
        for batch in workload:
            lengths = [len(ids) for ids, _ in batch]
            offsets = numpy.cumsum([0] + lengths).astype(numpy.uint64)
            tokens, segments = (numpy.concatenate([sentence[part] for sentence in batch])
                                .astype(numpy.uint32) for part in (0, 1))
            shape = ((len(batch), self.setting.labels) if self.setting.labels
                     else (len(tokens), self.setting.size))
            output = numpy.empty(shape, numpy.float32)
            prepared.append(((offsets, tokens, segments), output))
        return prepared

    def run(self, prepared):
        for batch, output in prepared:
            self.encoder.run(batch, **{"labels" if self.setting.labels else "hidden": output})

    def result(self, batch):
        prepared = self.prepare([batch])
        self.run(prepared)
        return prepared[0][1]


class PareBf16(Pare):
    name = "Pare bf16"
    precision = BF16


class Padding:
    """What libraries that pad have in common: arrays(ids, mask, segments), and call(arrays)."""
    pads = True

    def __init__(self, setting):
        self.setting = setting

    def prepare(self, workload):
        return [self.arrays(*padded(batch)) for batch in workload]

    def run(self, prepared):
        for arrays in prepared:
            self.call(arrays)

    def result(self, batch):
        (arrays,) = self.prepare([batch])
        result = numpy.asarray(self.call(arrays))
        return result if self.setting.labels else without_padding(batch, result)


class PyTorch(Padding):
    """BertModel of transformers with its default attention (scaled_dot_product_attention)."""
    name = "PyTorch"

    def __init__(self, setting):
        super().__init__(setting)
        self.model = setting.torch_model

    def arrays(self, *arrays):
        return [torch.from_numpy(array) for array in arrays]

    @torch.inference_mode()
    def call(self, arrays):
        return self.model(*arrays)


class PyTorchBf16(PyTorch):
    name = "PyTorch bf16"

    @torch.inference_mode()
    def call(self, arrays):
        with torch.autocast("cpu", torch.bfloat16):
            return self.model(*arrays).float()


class Compiled(PyTorch):
    """torch.compile, with shapes that may change."""
    name = "torch.compile"

    def __init__(self, setting):
        super().__init__(setting)
        self.model = torch.compile(setting.torch_model, dynamic=True)


class OnnxRuntime(Padding):
    """After the optimiser for transformers that comes with it, which fuses whole layers."""
    name = "ONNX Runtime"

    def __init__(self, setting):
        super().__init__(setting)
        try:
            import onnxruntime
            from onnxruntime.transformers import optimizer
        except ImportError as error:
            raise Unavailable(f"{error.name} is not installed") from error
        path = os.path.join(setting.work, "optimised.onnx")
        optimizer.optimize_model(setting.onnx_path(), "bert", num_heads=setting.heads,
                                 hidden_size=setting.size).save_model_to_file(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setting.threads
        self.session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])

    def arrays(self, *arrays):
        return dict(zip(("ids", "mask", "segments"), arrays))

    def call(self, arrays):
        return self.session.run(None, arrays)[0]


class OpenVino(Padding):
    name = "OpenVINO"
    precision = "f32"

    def __init__(self, setting):
        super().__init__(setting)
        try:
            import openvino
        except ImportError as error:
            raise Unavailable(f"{error.name} is not installed") from error
        core = openvino.Core()
        self.model = core.compile_model(
            core.read_model(setting.onnx_path()), "CPU",
            {"INFERENCE_PRECISION_HINT": self.precision, "PERFORMANCE_HINT": "LATENCY",
             "INFERENCE_NUM_THREADS": setting.threads})

    def arrays(self, *arrays):
        return list(arrays)

    def call(self, arrays):
        return self.model(arrays)[0]


class OpenVinoBf16(OpenVino):
    name = "OpenVINO bf16"
    precision = "bf16"


class CTranslate2(Padding):
    """Takes sentences, and pads for attention only. It has no classification head of BERT: what
    follows the first token's hidden state is done here."""
    name = "CTranslate2"

    def __init__(self, setting):
        super().__init__(setting)
        try:
            import ctranslate2
        except ImportError as error:
            raise Unavailable(f"{error.name} is not installed") from error
        path = os.path.join(setting.work, "ctranslate2")
        ctranslate2.converters.TransformersConverter(setting.body).convert(path, force=True)
        self.encoder = ctranslate2.Encoder(path, "cpu", compute_type="float32",
                                           inter_threads=1, intra_threads=setting.threads)

    def prepare(self, workload):
        return [[[sentence[part].tolist() for sentence in batch] for part in (0, 1)]
                for batch in workload]

    def call(self, batch):
        ids, segments = batch
        hidden = numpy.asarray(
            self.encoder.forward_batch(ids, token_type_ids=segments).last_hidden_state)
        return self.setting.classify(hidden[:, 0]) if self.setting.labels else hidden


FP32_PEERS = [PyTorch, Compiled, OnnxRuntime, OpenVino, CTranslate2]
BF16_PEERS = [PyTorchBf16, OpenVinoBf16]


def create(classes, setting, report):
    """Those that can be had; report(name, reason) tells of the others."""
    warnings.filterwarnings("ignore")
    created = []
    for peer in classes:
        try:
            created.append(peer(setting))
        except Unavailable as reason:
            report(peer.name, str(reason))
    return created
