"""From a PyTorch model of linear maps and snnTorch's neurons to a network."""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurosim.errors import BackendMissingError, ParameterError, UnsupportedError, caller
from neurosim.interchange.nir.maps import convolution, unrolled
from neurosim.interchange.snntorch.cells import leaky, synaptic
from neurosim.ir.rules import Convolution, EdgeList
from neurosim.lang.network import Network
from neurosim.units import Quantity, ms, mV

CELLS = ("exact", "lif")


@dataclass
class Layers:
    """A network that was read from a model.

    Attributes
    ----------
    network : Network
        A population ``input`` that spikes are given to, and one for each layer of neurons.
    names : list of str
        The populations, from the input on: ``names[k]`` does in step ``t + k`` what its layer does in step t, since a
        connection takes a step.
    shapes : dict
        Population -> the shape of the layer's output.
    notes : list of str
        What was read in a way that the user should know of.
    """

    network: Network
    names: list[str]
    shapes: dict[str, tuple[int, ...]]
    notes: list[str] = field(default_factory=list)
    _scale: float = 1.0
    _surrogates: list[tuple[Any, Any]] = field(default_factory=list)

    def to_torch(self, **options: Any) -> Any:
        """Return :meth:`neurosim.Network.to_torch` of the network, with the derivatives that snnTorch has.

        What counts as 1 for a surrogate is 1 of the model; a reset has a derivative where ``reset_delay`` is False.
        """
        scale = dict.fromkeys(self.names[1:], self._scale)
        if "surrogate" not in options and len(self._surrogates) > 1:
            raise ParameterError(
                "the layers of the model have different surrogates (spike_grad), and a module has one: say which with "
                f"to_torch(surrogate=...), such as {self._surrogates[0][1]!r}", caller()
            )  # fmt: skip
        chosen = self._surrogates[0][1] if self._surrogates else "atan"
        return self.network.to_torch(**{"scale": scale, "detach_reset": False, "surrogate": chosen, **options})

    def spikes(self, module_or_result: Any, name: str | None = None) -> np.ndarray:
        """Return what a layer did by the model's own steps.

        Parameters
        ----------
        module_or_result : Output or RunResult
            Of the module (then [batch, time, *shape]) or of a run (then [time, *shape]).
        name : str, optional
            The population; the last by default.
        """
        name = name or self.names[-1]
        if name not in self.names:
            raise ParameterError(f"the model has no layer '{name}'; it has {', '.join(self.names)}")
        lag, shape = self.names.index(name), self.shapes[name]
        found = module_or_result.spikes[name]
        if hasattr(found, "steps"):
            dense = np.zeros((module_or_result.provenance.n_steps, math.prod(shape)), np.float32)
            dense[found.steps, found.ids] = 1
            return dense[lag:].reshape(-1, *shape)
        kept = found.detach()[:, lag:]
        return np.asarray(kept.cpu().numpy()).reshape(*kept.shape[:2], *shape)


def read_model(
    model: Any, *, input_shape: Any = None, dt: Quantity = 1 * ms, cells: str = "exact", unit: Quantity = 10 * mV,
    spikes: Any = None, name: str = "snntorch", seed: int = 0,
) -> Layers:  # fmt: skip
    """Read a model: an ``nn.Sequential`` (nested ones too) of linear maps and snnTorch's neurons.

    Parameters
    ----------
    model : torch.nn.Module
        Of ``Linear``, ``Conv1d``, ``Conv2d``, ``AvgPool2d``, ``Flatten``, ``Identity``, ``Dropout`` (which does nothing
        here), ``Leaky`` and ``Synaptic``.
    input_shape : int or sequence of int, optional
        Of one sample in one step, where the model does not begin with a ``Linear``: channels, rows, columns.
    dt : Quantity
        What a step of the model is.
    cells : {"exact", "lif"}
        snnTorch's cells to the bit; or the library's ``LIF`` in volts, which NEST, Loihi 2 and others know as well. The
        latter are the same cell for a ``Leaky`` with ``reset_mechanism="zero"`` and ``reset_delay=False``, up to the
        rounding of beta.
    unit : Quantity
        With ``cells="lif"``, how many volts 1 of the model is.
    spikes : pair, optional
        Times and neurons of the input, as :func:`neurosim.encoding.source` makes them; without them the input is silent
        until a module is given some.
    name, seed
        Of the network.

    Returns
    -------
    Layers

    Raises
    ------
    UnsupportedError
        A module that is not read, or a setting of one; the error says what to do.
    """
    where = caller()
    try:
        nn = importlib.import_module("torch.nn")
        importlib.import_module("snntorch")
    except ImportError:
        raise BackendMissingError("snnTorch is not installed: pip install 'neurosim-snn[snntorch]'", where) from None
    if cells not in CELLS:
        raise ParameterError(f"cells must be 'exact' or 'lif', got {cells!r}", where)
    if not isinstance(model, nn.Module):
        raise ParameterError(f"a torch.nn.Module is read, got {type(model).__name__}", where)
    reader = _Reader(cells, unit, where)
    modules = list(_flat(model, nn))
    if not modules:
        raise UnsupportedError("the model has no layers", where)
    reader.begin(modules[0], input_shape)
    for label, module in modules:
        reader.look(label, module, nn)
        reader.take(label, module)
    return reader.build(name, dt, seed, (np.zeros(0) * ms, []) if spikes is None else spikes)


def _flat(model: Any, nn: Any, label: str = "") -> Any:
    """Yield (name, module) in the order in which a Sequential runs them."""
    if type(model) is nn.Sequential:
        for key, child in model._modules.items():  # named_children() leaves out a module that comes twice
            yield from _flat(child, nn, f"{label}.{key}" if label else key)
    else:
        yield label or type(model).__name__, model


@dataclass
class _Layer:
    """A layer of neurons: the matrix before it [n, inputs], its bias, its shape, the module, and, where the matrix is
    one convolution, that and its kernel."""

    matrix: Any
    bias: np.ndarray
    shape: tuple[int, ...]
    label: str
    module: Any
    kernel: tuple[Convolution, np.ndarray] | None


class _Reader:
    """Takes modules one after the other."""

    def __init__(self, cells: str, unit: Quantity, where: str | None) -> None:
        self.cells, self.where = cells, where
        self.unit = float(unit.value) if isinstance(unit, Quantity) else float("nan")
        if cells == "lif" and not (isinstance(unit, Quantity) and unit.dim == mV.dim and unit.value > 0):
            raise ParameterError(f"unit must be a potential above 0, such as 10*mV, got {unit!r}", where)
        self.layers: list[_Layer] = []
        self.notes: list[str] = []
        self.input_shape: tuple[int, ...] = ()
        self.shape: tuple[int, ...] = ()
        self.matrix: Any = None
        self.bias = np.zeros(0)
        self.maps = 0  # linear modules since the last neurons
        self.kernel: tuple[Convolution, np.ndarray] | None = None

    def begin(self, first: tuple[str, Any], shape: Any) -> None:
        """Begin with the shape of the input."""
        label, module = first
        if shape is None:
            if type(module).__name__ != "Linear":
                raise ParameterError(
                    f"input_shape is needed: the model begins with '{label}' ({type(module).__name__}), which does not "
                    "say how large its input is: input_shape=(1, 28, 28) is one channel of 28 by 28", self.where
                )  # fmt: skip
            shape = module.in_features
        given = np.atleast_1d(np.asarray(shape))
        if given.ndim != 1 or given.dtype.kind not in "iu" or (given < 1).any():
            raise ParameterError(f"input_shape must be whole numbers above 0, got {shape!r}", self.where)
        self.input_shape = self.shape = tuple(int(k) for k in given)
        self._reset()

    def _reset(self) -> None:
        from scipy import sparse

        size = math.prod(self.shape)
        self.matrix, self.bias = sparse.identity(size, format="csr"), np.zeros(size)
        self.maps, self.kernel = 0, None

    def refuse(self, label: str, module: Any, why: str) -> UnsupportedError:
        return UnsupportedError(f"the module '{label}' ({type(module).__name__}) {why}", self.where)

    def look(self, label: str, module: Any, nn: Any) -> None:
        """Refuse what a module does besides being a layer; note what is not taken over."""
        if module._forward_hooks or module._forward_pre_hooks:
            raise self.refuse(label, module, "has a forward hook, and what that does is not known: remove it")
        if isinstance(module, nn.Sequential):
            raise self.refuse(label, module, "is a Sequential with a class of its own, whose forward may be anything")
        if any(module is layer.module for layer in self.layers):
            raise self.refuse(label, module, "is there twice, and would share its state: give each place its own")
        for name, parameter in module.named_parameters(recurse=False):
            if name in ("weight", "bias") and not parameter.requires_grad:
                self.notes.append(f"'{label}.{name}' is not trained in the model (requires_grad=False); here it can be")
            if name in ("alpha", "beta", "threshold"):
                own = {"threshold": "v_th"}.get(name, name)
                self.notes.append(f"'{label}.{name}' is trained in the model; here, where it is asked for: "
                                  f"to_torch(train=['layer{len(self.layers) + 1}.{own}'])")  # fmt: skip

    def take(self, label: str, module: Any) -> None:
        """Take the next module."""
        kind = type(module).__name__
        if kind in ("Leaky", "Synaptic") and type(module).__module__.startswith("snntorch"):
            self._neurons(label, module)
        elif kind in ("Identity", "Dropout", "Dropout1d", "Dropout2d"):
            if kind != "Identity":
                self.notes.append(f"'{label}' ({kind}) is left out, as when a model is evaluated")
        elif kind == "Flatten":
            if module.start_dim != 1 or module.end_dim != -1:
                raise self.refuse(
                    label, module, "flattens some dimensions only; all but the batch's are flattened here"
                )
            self.shape = (math.prod(self.shape),)
        elif kind in ("Linear", "Conv1d", "Conv2d", "AvgPool2d"):
            self._linear(label, module, kind)
        else:
            raise self.refuse(
                label, module, "has no counterpart in a network; read are Linear, Conv1d, Conv2d, AvgPool2d, Flatten, "
                "Identity, Dropout, and snnTorch's Leaky and Synaptic"
            )  # fmt: skip

    def _linear(self, label: str, module: Any, kind: str) -> None:
        from scipy import sparse

        if kind == "Linear":
            weight = _numbers(module.weight)
            if self.shape != (weight.shape[1],):
                raise self.refuse(label, module, f"takes {weight.shape[1]} values, and gets {list(self.shape)}")
            matrix: Any = sparse.csr_matrix(weight)
            bias, shape = module.bias, (weight.shape[0],)
        else:
            matrix, bias, shape = self._convolution(label, module, kind)
        self.maps += 1
        more = np.zeros(matrix.shape[0])
        if bias is not None:
            more = np.repeat(_numbers(bias), matrix.shape[0] // len(bias))
        self.matrix, self.bias, self.shape = (matrix @ self.matrix).tocsr(), matrix @ self.bias + more, shape

    def _convolution(self, label: str, module: Any, kind: str) -> tuple[Any, Any, tuple[int, ...]]:
        """Return matrix, bias and output shape of a convolution or an average."""
        axes = 1 if kind == "Conv1d" else 2
        if len(self.shape) != axes + 1:
            what = "channels and columns" if axes == 1 else "channels, rows and columns"
            raise self.refuse(label, module, f"takes {what}, and gets {list(self.shape)}")
        channels, *size = self.shape
        if kind == "AvgPool2d":
            if module.ceil_mode or (not module.count_include_pad and np.any(module.padding)):
                raise self.refuse(label, module, "averages over fewer values at the border; read is ceil_mode=False "
                                  "with count_include_pad=True")  # fmt: skip
            pool = _axes(module.kernel_size, axes)
            if module.divisor_override is not None:
                raise self.refuse(label, module, "has a divisor of its own")
            weight, groups = np.full((channels, 1, *pool), 1 / math.prod(pool)), channels
            pads, dilation, bias = tuple((p, p) for p in _axes(module.padding, axes)), (1, 1), None
        else:
            weight, groups, bias = _numbers(module.weight), module.groups, module.bias
            if weight.shape[1] * groups != channels:
                raise self.refuse(label, module, f"takes {weight.shape[1] * groups} channels, and gets {channels}")
            if module.padding_mode != "zeros" and np.any(module.padding != 0):
                raise self.refuse(label, module, f"pads with {module.padding_mode!r}; zeros are read")
            pads, dilation = _pads(module), _axes(module.dilation, axes)
        stride = _axes(module.stride, axes)
        rule = convolution(weight, tuple(size), pads, stride, dilation, groups, f"the module '{label}'")
        if kind != "AvgPool2d" and not self.maps:
            self.kernel = rule, weight
        return unrolled(rule, weight), bias, rule.shape_out

    def _neurons(self, label: str, module: Any) -> None:
        kind = type(module).__name__
        if module.inhibition:
            raise self.refuse(label, module, "lets only one neuron spike (inhibition=True)")
        if module.state_quant:
            raise self.refuse(label, module, "quantises its state (state_quant): take Loihi 2's integers, with "
                              "neurosim.hardware.loihi2.quantise")  # fmt: skip
        if np.any(_numbers(module.graded_spikes_factor) != 1):
            raise self.refuse(label, module, "scales its spikes (graded_spikes_factor): multiply the weights behind it")
        if self.cells == "lif" and kind != "Leaky":
            raise self.refuse(label, module, "is no LIF with exponential currents: the potential sees their new value, "
                              "undecayed; read it with cells='exact'")  # fmt: skip
        if self.cells == "lif" and (module.reset_mechanism != "zero" or module.reset_delay):
            has = f"reset_mechanism={module.reset_mechanism!r}, reset_delay={bool(module.reset_delay)}"
            raise self.refuse(label, module, f"has {has}: a LIF is reset to a value at once. Train it with "
                              "reset_mechanism='zero', reset_delay=False, or read it with cells='exact'")  # fmt: skip
        kernel = self.kernel if self.maps == 1 else None
        self.layers.append(_Layer(self.matrix, self.bias, self.shape, label, module, kernel))
        self._reset()

    def build(self, name: str, dt: Quantity, seed: int, spikes: Any) -> Layers:
        """Return the network."""
        if not self.layers:
            raise UnsupportedError("the model has no neurons of snnTorch's", self.where)
        if np.any(self.bias) or (self.matrix != _identity(self.matrix.shape[0])).nnz:
            raise UnsupportedError("the model ends with a linear map that no neurons stand behind: let it end with "
                                   "Leaky(reset_mechanism='none')", self.where)  # fmt: skip
        models = importlib.import_module("neurosim.models")
        net = Network(name, dt=dt, seed=seed)
        before = net.population("input", math.prod(self.input_shape), models.SpikeSource(*spikes))
        out = Layers(
            net, ["input"], {"input": self.input_shape}, self.notes, 1.0 if self.cells == "exact" else self.unit
        )
        scale = Quantity(self.unit, mV.dim) if self.cells == "lif" else 1.0
        for k, layer in enumerate(self.layers):
            label = f"layer{k + 1}"
            found = _surrogate(layer.module.spike_grad)
            if found[0] not in [key for key, _ in out._surrogates]:
                out._surrogates.append(found)
            pop = net.population(label, math.prod(layer.shape), self._cell(layer, models, dt, k + 1))
            if self.cells == "lif" and np.any(layer.bias):
                beta = _each(layer.module.beta, layer.shape, (0, 1))
                steady = _one(np.broadcast_to(layer.bias / (1 - beta), (len(pop),)))
                net.stimulate(pop, models.DCInput(steady * scale), name="bias")
                steps = "a step" if k == 0 else f"{k + 1} steps"
                out.notes.append(f"'{label}' has its bias from the beginning, {steps} before the first input comes")
            edges = layer.matrix.tocsc().tocoo()
            listed = EdgeList(edges.col.astype(np.int64), edges.row.astype(np.int64)), edges.data
            rule, weight = layer.kernel or listed
            net.connect(before, pop, rule=rule, weight=weight * scale, delay=dt, name=f"to_{label}")
            net.record(pop, "spikes")
            out.names.append(label)
            out.shapes[label], before = layer.shape, pop
        return out

    def _cell(self, layer: _Layer, models: Any, dt: Quantity, late: int) -> Any:
        """Return the cell of a layer to which the first input comes so many steps late."""
        m, shape = layer.module, layer.shape
        beta, threshold = _each(m.beta, shape, (0, 1)), _each(m.threshold, shape)
        if self.cells == "lif":
            if np.any((beta <= 0) | (beta >= 1)):
                raise self.refuse(layer.label, m, "has a beta of 0 or 1; a LIF has a time constant")
            return models.LIF(
                tau_m=_one(-float(dt.value) / np.log(beta)) * Quantity(1.0, ms.dim), v_rest=0 * mV, v_reset=0 * mV,
                v_th=_one(threshold) * Quantity(self.unit, mV.dim), t_ref=0 * ms,
                receptors={"input": models.DeltaCurrent},
            )  # fmt: skip
        how = {"bias": _one(layer.bias), "reset_mechanism": m.reset_mechanism, "reset_delay": m.reset_delay}
        if np.any(layer.bias):
            how["begin"] = (late - 0.5) * dt
        if type(m).__name__ == "Leaky":
            return leaky(_one(beta), _one(threshold), **how)
        return synaptic(_one(_each(m.alpha, shape, (0, 1))), _one(beta), _one(threshold), **how)


def _surrogate(function: Any) -> tuple[Any, Any]:
    """Return what tells a surrogate of snnTorch's from another, and what stands for it here.

    They are functions made by functions, so their maker's name and what they close over say what they are. With its
    default slope one is known by its name, for which there are fused loops; any other is taken as it is.
    """
    maker = getattr(function, "__qualname__", "").partition(".")[0]
    key = maker, tuple(c.cell_contents for c in getattr(function, "__closure__", None) or ())
    surrogates = importlib.import_module("snntorch.surrogate")
    if getattr(function, "__module__", "") != "snntorch.surrogate" or not hasattr(surrogates, maker):
        return (function,), function
    usual = getattr(surrogates, maker)()
    default = tuple(c.cell_contents for c in getattr(usual, "__closure__", None) or ())
    return key, maker if default == key[1] else function


def _identity(n: int) -> Any:
    from scipy import sparse

    return sparse.identity(n, format="csr")


def _numbers(value: Any) -> np.ndarray:
    found = value.detach().double().cpu().numpy() if hasattr(value, "detach") else value
    return np.asarray(found, dtype=np.float64)


def _each(value: Any, shape: tuple[int, ...], limits: tuple[float, float] | None = None) -> np.ndarray:
    """Return a parameter of neurons as they are counted, clamped to the limits that snnTorch clamps it to."""
    array = _numbers(value)
    if limits is not None:
        array = np.clip(array, *limits)
    return np.broadcast_to(array, shape).ravel()


def _one(values: np.ndarray) -> Any:
    """Return one value where all are equal."""
    return float(values.ravel()[0]) if np.all(values == values.ravel()[0]) else np.array(values)


def _axes(value: Any, axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(int(k) for k in value)


def _pads(module: Any) -> tuple[tuple[int, int], ...]:
    """Return zeros before and after each axis."""
    axes = len(module.kernel_size)
    if module.padding == "valid":
        return ((0, 0),) * axes
    if module.padding == "same":
        total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        return tuple((t // 2, t - t // 2) for t in total)
    return tuple((int(p), int(p)) for p in module.padding)
