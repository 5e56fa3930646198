"""Implementations of attention under a mask. Each class has a name, makes itself ready for a case
(what is compiled or converted there is not measured), and has forward() and, where it can, both(),
which is forward and backward. Results come back as numpy arrays (tokens, heads, head size), so that
they can be compared. Unsupported says why a case is left out."""

import time

import numpy
import torch

from pare_library import Attention, Plan


class Unsupported(Exception):
    pass


class Pare:
    name = "pare"
    uses_mask = True

    def __init__(self, case, library):
        plan = None
        if self.uses_mask and case.mask is not None:
            plan = Plan(library, case.heads, case.queries, case.keys, case.causal,
                        lambda head, row: case.mask[head, row])
        self.attention = Attention(library, case.query, case.key, case.value, case.output_gradient,
                                   case.causal, plan)

    def forward(self):
        return self.attention.forward()

    def both(self):
        self.attention.forward()
        return self.attention.backward()


class PareDense(Pare):
    """Without the mask; causal where the case is."""
    name = "pare, dense"
    uses_mask = False

    def __init__(self, case, library):
        if case.mask is None:
            raise Unsupported("the same as pare")
        super().__init__(case, library)


def as_torch(array):
    """(1, heads, tokens, head size), a view of the layout that a model has."""
    return torch.from_numpy(array).unsqueeze(0).transpose(1, 2)


def as_numpy(tensor):
    return tensor.detach().squeeze(0).transpose(0, 1).numpy()


class ScaledDotProduct:
    """torch.nn.functional.scaled_dot_product_attention without a mask: the whole rectangle."""
    name = "torch sdpa"
    uses_mask = False

    def __init__(self, case, library):
        if case.mask is None and self.uses_mask:
            raise Unsupported("no mask")
        self.inputs = [as_torch(array).requires_grad_()
                       for array in (case.query, case.key, case.value)]
        self.output_gradient = as_torch(case.output_gradient)
        self.mask = self.make_mask(case)

    def make_mask(self, case):
        return None

    def attend(self):
        return torch.nn.functional.scaled_dot_product_attention(*self.inputs, attn_mask=self.mask)

    def forward(self):
        with torch.no_grad():
            return as_numpy(self.attend())

    def both(self):
        gradients = torch.autograd.grad(self.attend(), self.inputs, self.output_gradient)
        return [as_numpy(gradient) for gradient in gradients]


class ScaledDotProductBoolean(ScaledDotProduct):
    name = "torch sdpa, bool mask"
    uses_mask = True

    def make_mask(self, case):
        return torch.from_numpy(numpy.array(case.mask)).unsqueeze(0)


class ScaledDotProductFloat(ScaledDotProduct):
    name = "torch sdpa, float mask"
    uses_mask = True

    def make_mask(self, case):
        mask = numpy.where(case.mask, numpy.float32(0), numpy.float32("-inf"))
        return torch.from_numpy(mask).unsqueeze(0)


class Flex(ScaledDotProduct):
    """FlexAttention, compiled for each case; on CPUs it has no backward pass."""
    name = "torch flex"
    uses_mask = True

    def make_mask(self, case):
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        start = time.perf_counter()
        torch.compiler.reset()
        self.compiled = torch.compile(flex_attention, dynamic=False)
        kept = torch.from_numpy(numpy.array(case.mask))
        self.block_mask = create_block_mask(lambda batch, head, row, column: kept[head, row, column],
                                            None, case.heads, case.queries, case.keys, "cpu")
        self.inputs = [tensor.detach() for tensor in self.inputs]
        try:
            self.forward()
        except RuntimeError as error:
            raise Unsupported(f"it does not compile here ({str(error).splitlines()[0]})")
        self.preparation = time.perf_counter() - start

    def attend(self):
        return self.compiled(*self.inputs, block_mask=self.block_mask)

    both = None


class SparseRows:
    """What torch.sparse offers on CPUs, head by head: sampled_addmm for scores, a softmax over the
    stored values (there is none for CSR), sparse times dense for the output; backward with the same
    operators, on transposed copies of the values."""
    name = "torch.sparse, CSR"
    uses_mask = True

    def __init__(self, case, library):
        if case.mask is None:
            raise Unsupported("no mask")
        self.scale = case.head_size ** -0.5
        self.inputs = [[torch.from_numpy(numpy.ascontiguousarray(array[:, head]))
                        for head in range(case.heads)]
                       for array in (case.query, case.key, case.value, case.output_gradient)]
        self.patterns = [self.make_pattern(torch.from_numpy(numpy.array(mask)))
                         for mask in case.mask]

    @staticmethod
    def make_pattern(mask):
        rows, columns = mask.nonzero(as_tuple=True)
        by_column = torch.argsort(columns, stable=True)
        return {"zero": mask.float().to_sparse_csr() * 0, "rows": rows, "by_column": by_column,
                "row_begin": mask.float().to_sparse_csr().crow_indices(),
                "transposed": mask.t().float().to_sparse_csr()}

    @staticmethod
    def with_values(pattern, values):
        return torch.sparse_csr_tensor(pattern.crow_indices(), pattern.col_indices(), values,
                                       pattern.shape, check_invariants=False)

    def sampled(self, pattern, left, right, scale):
        return torch.sparse.sampled_addmm(pattern["zero"], left, right.t(), beta=0.0,
                                          alpha=scale).values()

    def sum_of_rows(self, pattern, values):
        return torch.segment_reduce(values, "sum", offsets=pattern["row_begin"])[pattern["rows"]]

    def weights(self, pattern, query, key):
        scores = self.sampled(pattern, query, key, self.scale)
        largest = torch.segment_reduce(scores, "max", offsets=pattern["row_begin"])
        weights = torch.exp(scores - largest[pattern["rows"]])
        return weights / self.sum_of_rows(pattern, weights)

    def forward(self):
        outputs = []
        for pattern, query, key, value in zip(self.patterns, *self.inputs[:3]):
            weights = self.weights(pattern, query, key)
            outputs.append(self.with_values(pattern["zero"], weights) @ value)
        return torch.stack(outputs, 1).numpy()

    def both(self):
        gradients = []
        for pattern, query, key, value, output_gradient in zip(self.patterns, *self.inputs):
            weights = self.weights(pattern, query, key)
            self.with_values(pattern["zero"], weights) @ value  # the output, which backward needs not
            transposed, by_column = pattern["transposed"], pattern["by_column"]
            value_gradient = self.with_values(transposed, weights[by_column]) @ output_gradient
            gradient = self.sampled(pattern, output_gradient, value, 1.0)
            gradient = self.scale * weights * (
                gradient - self.sum_of_rows(pattern, weights * gradient))
            query_gradient = self.with_values(pattern["zero"], gradient) @ key
            key_gradient = self.with_values(transposed, gradient[by_column]) @ query
            gradients.append((query_gradient, key_gradient, value_gradient))
        return [torch.stack(heads, 1).numpy() for heads in zip(*gradients)]


class OnnxRuntime:
    """The operator Attention of ONNX, forward only; a mask is one more input."""
    name = "onnxruntime"
    uses_mask = True

    def __init__(self, case, library):
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise Unsupported(f"{error.name} is not installed")
        self.feeds = {name: numpy.ascontiguousarray(array.transpose(1, 0, 2)[None])
                      for name, array in (("query", case.query), ("key", case.key),
                                          ("value", case.value))}
        if case.mask is not None:
            self.feeds["mask"] = numpy.array(case.mask)[None]
        make = onnx.helper
        types = {numpy.dtype(numpy.float32): onnx.TensorProto.FLOAT,
                 numpy.dtype(bool): onnx.TensorProto.BOOL}
        inputs = [make.make_tensor_value_info(name, types[array.dtype], array.shape)
                  for name, array in self.feeds.items()]
        output = make.make_tensor_value_info("output", onnx.TensorProto.FLOAT, None)
        graph = make.make_graph([make.make_node("Attention", list(self.feeds), ["output"])],
                                "attention", inputs, [output])
        model = make.make_model(graph, opset_imports=[make.make_opsetid("", 23)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # Its threads wait spinning inside a call, but not into the turns of the others.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        try:
            self.session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own exception types differ between versions
            raise Unsupported(str(error).splitlines()[0])

    def forward(self):
        return self.session.run(None, self.feeds)[0][0].transpose(1, 0, 2)

    both = None


PEERS = [Pare, PareDense, ScaledDotProduct, ScaledDotProductBoolean, ScaledDotProductFloat, Flex,
         SparseRows, OnnxRuntime]
