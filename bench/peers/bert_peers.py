"""The encoders that bert.py compares: one class each. A workload is a list of batches, a batch a
list of sentences, a sentence (token ids, segment ids). prepare() arranges a batch beforehand, as
arrays of the kind the library takes; run() computes what the setting wants, the hidden states of all
tokens or the labels' logits of all sentences; values() gives that as one array without padding."""

import json
import os

import numpy

from bert_masks import average_mask
from pare_library import BF16, FP32, Encoder, Library
from sides import Unavailable

LABELS = 2


class Setting:
    """What all sides share. `labels`: 0 for hidden states, else the labels of a classifier."""

    def __init__(self, library, model, body, work, threads, labels):
        self.library, self.model, self.body = library, model, body
        self.work, self.threads, self.labels = work, threads, labels
        with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        self.size, self.heads = config["hidden_size"], config["num_attention_heads"]


def make_setting(library, body, work, threads, labels):
    """With the files of all sides in `work`; a classifier's head is drawn at random."""
    import torch
    from transformers import BertForSequenceClassification, logging

    logging.set_verbosity_error()
    os.makedirs(work)
    model = body
    if labels:
        torch.manual_seed(1)
        model = os.path.join(work, "model")
        BertForSequenceClassification.from_pretrained(
            body, num_labels=labels).save_pretrained(model)
    setting = Setting(library, model, body, work, threads, labels)
    for convert in (export_to_onnx, optimise_onnx, convert_for_ctranslate2):
        try:
            convert(setting)
        except ImportError:
            pass  # its side says so
    return setting


def load_torch(setting):
    from torch import nn
    from transformers import BertForSequenceClassification, BertModel, logging

    logging.set_verbosity_error()  # BertModel leaves out the pooler, and says so at length
    model = (BertForSequenceClassification.from_pretrained(setting.model) if setting.labels
             else BertModel.from_pretrained(setting.model, add_pooling_layer=False))

    class FirstResult(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids, mask, segments):
            return self.model(input_ids=ids, attention_mask=mask, token_type_ids=segments,
                              return_dict=False)[0]

    return FirstResult().eval()


def onnx_path(setting, name):
    return os.path.join(setting.work, name + ".onnx")


def existing_onnx_path(setting, name):
    path = onnx_path(setting, name)
    if not os.path.exists(path):
        raise Unavailable("onnx is not installed")
    return path


def export_to_onnx(setting):
    import onnx  # which the exporter needs
    import torch

    names = ["ids", "mask", "segments"]
    example = [torch.ones((2, 16), dtype=torch.int64)] * 3
    torch.onnx.export(
        load_torch(setting), tuple(example), onnx_path(setting, "model"), input_names=names,
        output_names=["result"], opset_version=17, dynamo=False,
        dynamic_axes={name: {0: "batch", 1: "length"} for name in names})


def optimise_onnx(setting):
    """The optimiser for transformers that comes with ONNX Runtime, which fuses whole layers."""
    from onnxruntime.transformers import optimizer

    optimizer.optimize_model(
        onnx_path(setting, "model"), "bert", num_heads=setting.heads, hidden_size=setting.size
    ).save_model_to_file(onnx_path(setting, "optimised"))


def convert_for_ctranslate2(setting):
    import ctranslate2

    ctranslate2.converters.TransformersConverter(setting.body).convert(
        os.path.join(setting.work, "ctranslate2"), force=True)


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

    def __init__(self, setting):
        self.setting = setting
        self.library = Library(setting.library, setting.threads)
        self.encoder = Encoder(self.library, setting.model, self.precision, self.mask())

    def mask(self):
        return None

    def prepare(self, batch):
        lengths = [len(ids) for ids, _ in batch]
        offsets = numpy.cumsum([0] + lengths).astype(numpy.uint64)
        tokens, segments = (numpy.concatenate([sentence[part] for sentence in batch])
                            .astype(numpy.uint32) for part in (0, 1))
        shape = ((len(batch), self.setting.labels) if self.setting.labels
                 else (len(tokens), self.setting.size))
        return (offsets, tokens, segments), numpy.empty(shape, numpy.float32)

    def run(self, prepared):
        batch, output = prepared
        self.encoder.run(batch, **{"labels" if self.setting.labels else "hidden": output})
        return output

    def values(self, result, batch):
        return result


class PareBf16(Pare):
    name = "Pare bf16"
    precision = BF16


class ParePruned(Pare):
    """Under a mask from the average of the model's own attention over `sentences`, all of one
    length."""

    def __init__(self, setting, percent, sentences):
        self.percent, self.sentences = percent, sentences
        super().__init__(setting)

    def mask(self):
        batches = [self.sentences[i:i + 8] for i in range(0, len(self.sentences), 8)]
        return average_mask(self.library, self.setting.model, batches,
                            len(self.sentences[0][0]), self.percent)


class Padding:
    """What libraries that pad have in common: arrays(ids, mask, segments), and run(arrays)."""
    pads = True

    def __init__(self, setting):
        self.setting = setting

    def prepare(self, batch):
        return self.arrays(*padded(batch))

    def values(self, result, batch):
        result = numpy.asarray(result)
        return result if self.setting.labels else without_padding(batch, result)


class PyTorch(Padding):
    """BertModel of transformers with its default attention (scaled_dot_product_attention)."""
    name = "PyTorch"

    def __init__(self, setting):
        super().__init__(setting)
        import torch

        torch.set_num_threads(setting.threads)
        self.torch = torch
        self.model = load_torch(setting)

    def arrays(self, *arrays):
        return [self.torch.from_numpy(array) for array in arrays]

    def run(self, arrays):
        with self.torch.inference_mode():
            return self.model(*arrays)


class PyTorchBf16(PyTorch):
    name = "PyTorch bf16"

    def run(self, arrays):
        with self.torch.inference_mode(), self.torch.autocast("cpu", self.torch.bfloat16):
            return self.model(*arrays).float()


class Compiled(PyTorch):
    """torch.compile, with shapes that may change."""
    name = "torch.compile"

    def __init__(self, setting):
        super().__init__(setting)
        self.model = self.torch.compile(self.model, dynamic=True)


class OnnxRuntime(Padding):
    name = "ONNX Runtime"

    def __init__(self, setting):
        super().__init__(setting)
        try:
            import onnxruntime
        except ImportError as error:
            raise Unavailable(f"{error.name} is not installed") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setting.threads
        self.session = onnxruntime.InferenceSession(existing_onnx_path(setting, "optimised"),
                                                    options, ["CPUExecutionProvider"])

    def arrays(self, *arrays):
        return dict(zip(("ids", "mask", "segments"), arrays))

    def run(self, arrays):
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
            core.read_model(existing_onnx_path(setting, "model")), "CPU",
            {"INFERENCE_PRECISION_HINT": self.precision, "PERFORMANCE_HINT": "LATENCY",
             "INFERENCE_NUM_THREADS": setting.threads})

    def arrays(self, *arrays):
        return list(arrays)

    def run(self, arrays):
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
        self.encoder = ctranslate2.Encoder(
            os.path.join(setting.work, "ctranslate2"), "cpu", compute_type="float32",
            inter_threads=1, intra_threads=setting.threads)
        if setting.labels:
            self.load_head()

    def load_head(self):
        from safetensors.numpy import load_file

        weights = load_file(os.path.join(self.setting.model, "model.safetensors"))
        self.pooler, self.classifier = (
            (weights[name + ".weight"].T.copy(), weights[name + ".bias"])
            for name in ("bert.pooler.dense", "classifier"))

    def classify(self, first):
        weight, bias = self.pooler
        pooled = numpy.tanh(first @ weight + bias)
        weight, bias = self.classifier
        return pooled @ weight + bias

    def prepare(self, batch):
        return [[sentence[part].tolist() for sentence in batch] for part in (0, 1)]

    def run(self, prepared):
        ids, segments = prepared
        hidden = numpy.asarray(
            self.encoder.forward_batch(ids, token_type_ids=segments).last_hidden_state)
        return self.classify(hidden[:, 0]) if self.setting.labels else hidden


FP32_PEERS = [PyTorch, Compiled, OnnxRuntime, OpenVino, CTranslate2]
BF16_PEERS = [PyTorchBf16, OpenVinoBf16]
