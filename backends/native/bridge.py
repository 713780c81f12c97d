"""From a block of 64-bit numbers to a kernel's arguments; printed in front of every compiled module.

An entry point takes one pointer to such a block: a scalar is one number (a float by its bits), an array its address
and its lengths. So compiled code needs nothing of numba when it is called, and can be loaded without it.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir as llvm
from numba import carray, njit, types
from numba.core.typing import signature
from numba.extending import intrinsic

BLOCK = types.CPointer(types.int64)


def _pointer(element):  # type: ignore[no-untyped-def]
    @intrinsic
    def pointer(typingctx, address):  # type: ignore[no-untyped-def]
        result = types.CPointer(element)

        def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
            return builder.inttoptr(args[0], context.get_value_type(result))

        return signature(result, types.int64), codegen

    return pointer


@intrinsic
def float_of(typingctx, bits):  # type: ignore[no-untyped-def]
    """Read a float from its bits."""

    def codegen(context, builder, sig, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(args[0], llvm.DoubleType())

    return signature(types.float64, types.int64), codegen


pointer_f8, pointer_f4, pointer_i8, pointer_i4 = _pointer(types.float64), _pointer(types.float32), _pointer(types.int64), _pointer(types.int32)
pointer_u8, pointer_u4, pointer_u2, pointer_u1 = _pointer(types.uint64), _pointer(types.uint32), _pointer(types.uint16), _pointer(types.uint8)

__all__ = ["BLOCK", "carray", "float_of", "njit", "np"]
