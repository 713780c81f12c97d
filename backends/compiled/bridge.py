"""From a block of 64-bit numbers to a kernel's arguments; printed in front of every compiled module.

An entry point takes one pointer to such a block: a scalar is one number (a float by its bits), an array its address
and its lengths. So compiled code needs nothing of numba when it is called, and can be loaded without it.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir as llvm
from numba import njit, types
from numba.core.typing.templates import signature
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

BLOCK = types.CPointer(types.int64)


@intrinsic
def float_of(typingctx, bits):
    """Read a float from its bits."""

    def codegen(context, builder, sig, args):
        return builder.bitcast(args[0], llvm.DoubleType())

    return signature(types.float64, types.int64), codegen


def _view(element, dims):
    """Make the intrinsic that sees memory at an address as an array; it owns nothing."""

    @intrinsic
    def view(typingctx, address, shape):
        result = types.Array(element, dims, "C")

        def codegen(context, builder, sig, args):
            array = context.make_array(result)(context, builder)
            item = context.get_abi_sizeof(context.get_data_type(element))
            lengths = [builder.extract_value(args[1], k) for k in range(dims)]
            strides = [context.get_constant(types.intp, item)]
            for length in reversed(lengths[1:]):
                strides.insert(0, builder.mul(strides[0], length))
            data = builder.inttoptr(args[0], context.get_data_type(element).as_pointer())
            populate_array(
                array,
                data=data,
                shape=lengths,
                strides=strides,
                itemsize=context.get_constant(types.intp, item),
                meminfo=None,
            )
            return array._getvalue()

        return signature(result, types.int64, types.UniTuple(types.int64, dims)), codegen

    return view


VIEWS = {
    f"{name}:{dims}": _view(element, dims)
    for name, element in (
        ("f8", types.float64),
        ("f4", types.float32),
        ("i8", types.int64),
        ("i4", types.int32),
        ("u8", types.uint64),
        ("u4", types.uint32),
        ("u2", types.uint16),
        ("u1", types.uint8),
    )
    for dims in (1, 2, 3)
}

__all__ = ["BLOCK", "VIEWS", "float_of", "njit", "np"]
