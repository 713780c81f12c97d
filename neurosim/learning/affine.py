"""A feed-forward ReLU network of PyTorch as what it computes: matrices, biases, and where values below 0 are cut off.

Everything between two ReLUs is one affine map, whatever layers it is written in: ``Flatten`` and ``Dropout`` do nothing
to values, ``BatchNorm`` is a factor and an offset, ``AvgPool2d`` and ``Conv2d`` are sparse matrices. Their product is
taken in double precision.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurosim.errors import BackendMissingError, ParameterError, UnsupportedError, caller

_LINEAR = ("Linear", "Conv1d", "Conv2d", "Conv3d", "AvgPool1d", "AvgPool2d", "AvgPool3d",
           "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d")  # fmt: skip
_NORMS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
_SHAPES = ("Flatten", "Unflatten")
_NOTHING = ("Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")
_KNOWN = "Linear, Conv1d to Conv3d, AvgPool, BatchNorm, Flatten, Dropout and ReLU"

_CURVED = ("its values are not those of a ReLU, and a spike time or a rate carries no others",
           "put ReLU in its place and train the model again")  # fmt: skip
_SOFT = ("it divides by a sum over all outputs, which no neuron sees",
         "leave it out, the order of the outputs stays; apply it to the logits that are read")  # fmt: skip
_OWN = ("it measures each sample by itself while it is computed", "use BatchNorm, which is part of the weights by then")
_LARGEST = (
    "the largest of several inputs is no sum of spikes",
    "use AvgPool2d or a Conv2d with a stride, and train again",
)
_LOOP = ("its output goes back to its input", "train a recurrent spiking network: docs/training.md")
_REFUSED = {
    kind: reason
    for kinds, reason in (
        ("GELU SiLU Mish Tanh Sigmoid ELU CELU SELU LeakyReLU PReLU RReLU Softplus Softsign Hardtanh ReLU6 Hardswish "
         "Hardsigmoid LogSigmoid", _CURVED),
        ("Softmax LogSoftmax Softmin Softmax2d", _SOFT),
        ("LayerNorm GroupNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d RMSNorm", _OWN),
        ("MaxPool1d MaxPool2d MaxPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d", _LARGEST),
        ("RNN LSTM GRU RNNCell LSTMCell GRUCell", _LOOP),
    )
    for kind in kinds.split()
}  # fmt: skip
"""Kind of layer -> why it is refused, and what to do."""


@dataclass(frozen=True)
class Affine:
    """``x @ weight + bias``, and what was written for it.

    Attributes
    ----------
    weight : ndarray or scipy.sparse.csr_array
        [inputs, outputs], float64.
    bias : ndarray
        [outputs], float64.
    relu : bool
        Whether values below 0 become 0 afterwards.
    modules : tuple
        The layers of the model that make it, those that do nothing left out.
    shape : tuple of int
        Of one output before it is made flat.
    """

    weight: Any
    bias: np.ndarray
    relu: bool
    modules: tuple[Any, ...]
    shape: tuple[int, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the outputs [samples, outputs] for inputs [samples, inputs]."""
        found = np.asarray(x @ self.weight) + self.bias
        return np.maximum(found, 0.0) if self.relu else found

    @property
    def synapses(self) -> int:
        """Number of weights that are not 0."""
        return int(self.weight.nnz if hasattr(self.weight, "nnz") else np.count_nonzero(self.weight))


def affine_maps(model: Any, shape: tuple[int, ...], where: str | None) -> list[Affine]:
    """Return the maps of an ``nn.Sequential``, each but the last followed by a ReLU.

    Parameters
    ----------
    model : torch.nn.Sequential
        Nested ones are taken as one row of layers. What ``model.eval()`` computes is meant, whatever mode it is in.
    shape : tuple of int
        Of one input.
    where : str or None
        For errors.

    Raises
    ------
    ParameterError
        If a layer has no counterpart, or does not take what the one before it gives.
    """
    nn = importlib.import_module("torch.nn")
    if not isinstance(model, nn.Sequential):
        raise ParameterError(
            f"what is converted is a torch.nn.Sequential, whose layers follow one another; got {type(model).__name__}: "
            "write the model as one", where
        )  # fmt: skip
    out: list[Affine] = []
    weight: Any
    weight, bias, made = None, np.zeros(int(np.prod(shape))), []
    for label, module in _leaves(model, nn):
        kind, before = type(module).__name__, shape
        if kind in _NOTHING:
            continue
        if kind == "ReLU":
            if weight is not None:  # a second one, or one right at the input, changes nothing
                out.append(Affine(weight, bias, True, tuple(made), shape))
                weight, bias, made = None, np.zeros(len(bias)), []
            continue
        if kind not in (*_LINEAR, *_NORMS, *_SHAPES):
            why, instead = _REFUSED.get(kind, ("it has no counterpart in spikes", f"the layers that do are {_KNOWN}"))
            raise ParameterError(f"layer {label} of the model, {module}, cannot be converted: {why}; {instead}", where)
        if kind in _NORMS and module.running_mean is None:
            raise ParameterError(
                f"layer {label} of the model, {module}, has no running mean and variance, which would be its weights: "
                "train it with track_running_stats=True",
                where,
            )
        try:
            matrix, offset, shape = _matrix(module, kind, shape)
        except (RuntimeError, ValueError, IndexError):
            raise ParameterError(
                f"layer {label} of the model, {module}, does not take what comes before it, of shape {list(before)}",
                where,
            ) from None
        made.append(module)
        if matrix is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                weight = matrix if weight is None else weight @ matrix
                bias = np.asarray(bias @ matrix) + offset
            if not _finite(weight, bias):
                raise ParameterError(
                    f"layer {label} of the model, {module}, makes weights that are no finite numbers", where
                )
    if weight is not None:
        out.append(Affine(weight, bias, False, tuple(made), shape))
    if not out:
        raise ParameterError(f"the model has no weights: nothing to convert in {model}", where)
    return out


def _leaves(model: Any, nn: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    # named_children() leaves out a module that comes twice
    for name, module in model._modules.items():
        if module._forward_hooks or module._forward_pre_hooks:
            raise UnsupportedError(
                f"layer {path}{name} of the model, {module}, has a forward hook, whose doing is not known: remove it",
                caller(),
            )
        if type(module) is nn.Sequential:
            yield from _leaves(module, nn, f"{path}{name}.")
        else:
            yield f"{path}{name}", module


def _matrix(module: Any, kind: str, shape: tuple[int, ...]) -> tuple[Any, Any, Any]:
    """Return matrix (None for the identity), offset and the shape of the output of one layer.

    Where the shape does not fit, this is an error of PyTorch's, or a ValueError.
    """
    torch, size = importlib.import_module("torch"), int(np.prod(shape))
    if kind in _NORMS:
        sparse = _sparse()
        own = [_numpy(v) for v in (module.running_mean, module.running_var)]
        gain, shift = (_numpy(v) if v is not None else d for v, d in ((module.weight, 1.0), (module.bias, 0.0)))
        factor = gain / np.sqrt(own[1] + module.eps)
        if len(own[0]) != shape[0]:
            raise ValueError
        each = size // shape[0]
        return (
            sparse.diags_array(np.repeat(factor, each), format="csr"),
            np.repeat(shift - own[0] * factor, each),
            shape,
        )
    if kind == "Linear":
        if shape != (module.in_features,):
            raise ValueError
        offset = np.zeros(module.out_features) if module.bias is None else _numpy(module.bias)
        return _numpy(module.weight).T, offset, (module.out_features,)
    with torch.no_grad():
        if kind in _SHAPES:
            found = module(torch.zeros(1, *shape))
            if found.shape[0] != 1:
                raise ValueError
            return None, 0.0, tuple(found.shape[1:])
        plain = copy.deepcopy(module).double().cpu()
        offset = getattr(plain, "bias", None)
        if offset is not None:
            plain.bias = None
        sparse, blocks = _sparse(), []
        for first in range(0, size, 256):  # what each input alone becomes is a row of the matrix
            some = torch.zeros(min(256, size - first), size, dtype=torch.float64)
            some[torch.arange(len(some)), first + torch.arange(len(some))] = 1.0
            found = plain(some.reshape(-1, *shape))
            blocks.append(sparse.csr_array(found.reshape(len(some), -1).numpy()))
        after = tuple(found.shape[1:])
        each = int(np.prod(after)) // after[0]
        return sparse.vstack(blocks, format="csr"), 0.0 if offset is None else np.repeat(_numpy(offset), each), after


def _sparse() -> Any:
    """Return SciPy's sparse arrays."""
    try:
        return importlib.import_module("scipy.sparse")
    except ImportError:
        raise BackendMissingError(
            "convolutions, pools and norms become sparse matrices, which needs SciPy: pip install scipy", caller()
        ) from None


def run_modules(modules: tuple[Any, ...], x: Any, shape: tuple[int, ...]) -> Any:
    """Return what layers of the model make of a tensor [samples, inputs], flat, with gradients; as ``eval()`` would."""
    functional = importlib.import_module("torch.nn.functional")
    x = x.reshape(len(x), *shape)
    for module in modules:
        if type(module).__name__ in _NORMS:
            own = module.running_mean, module.running_var, module.weight, module.bias
            x = functional.batch_norm(x, *own, False, 0.0, module.eps)
        else:
            x = module(x)
    return x.reshape(len(x), -1)


def _numpy(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _finite(weight: Any, bias: np.ndarray) -> bool:
    values = weight.data if hasattr(weight, "nnz") else weight
    return bool(np.all(np.isfinite(values)) and np.all(np.isfinite(bias)))
