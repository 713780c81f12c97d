"""The selective scan and its gradient on the CPU, compiled: states of one chunk at a time, never of the whole sequence.

Per sequence and block of channels, time runs outside, states n within, and channels innermost, so that the compiler
puts them side by side. The forward pass keeps the state at the start of every chunk; the backward pass runs each chunk
again from there. Single precision has an exponential of its own, within 3e-7, because a library's is not put side by
side.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core.errors import TypingError
from numba.extending import intrinsic, overload

CHUNK = 64
BLOCK = 32


@intrinsic
def _float_of_bits(typingctx, bits):
    if bits != types.int32:
        raise TypingError("the bits of a float32 are an int32")

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@njit(cache=True, fastmath={"contract"})
def _exp32(x):
    """Return 2^k e^r with k the integer nearest to x / ln 2, by a polynomial of sixth degree in r."""
    x = min(max(x, np.float32(-87.0)), np.float32(88.0))
    shifted = x * np.float32(1.44269504) + np.float32(12582912.0)  # 1.5 * 2^23: what is added rounds to an integer
    k = shifted - np.float32(12582912.0)
    r = x - k * np.float32(0.693359375) + k * np.float32(2.12194440e-4)
    p = np.float32(1.0 / 720)
    p = p * r + np.float32(1.0 / 120)
    p = p * r + np.float32(1.0 / 24)
    p = p * r + np.float32(1.0 / 6)
    p = p * r + np.float32(0.5)
    p = p * r + np.float32(1.0)
    p = p * r + np.float32(1.0)
    bits = np.int32((np.int32(k) + np.int32(127)) << np.int32(23))
    return p * _float_of_bits(bits)  # type: ignore[call-arg]  # numba passes the typing context


def _exp(x):
    """Return e^x; compiled code takes the exponential of its precision."""
    return math.exp(x)


@overload(_exp)
def _choose(x):
    return (lambda x: _exp32(x)) if x == types.float32 else (lambda x: math.exp(x))


@njit(parallel=True, cache=True, fastmath={"contract"}, error_model="numpy")
def forward(x, delta, A, B, C, start, y, held):
    """Fill y (b, L, D) and held (b, chunks + 1, N, D), whose last entry is the final state.

    x, delta (b, L, D); A (N, D); B, C (b, L, N); start (b, N, D).
    """
    batch, L, D = x.shape
    N = A.shape[0]
    blocks = (D + BLOCK - 1) // BLOCK
    for job in prange(batch * blocks):
        b, first = job // blocks, (job % blocks) * BLOCK
        width = min(BLOCK, D - first)
        h = np.empty((N, BLOCK), x.dtype)
        a = np.empty((N, BLOCK), x.dtype)
        u, acc, dt = np.empty(BLOCK, x.dtype), np.empty(BLOCK, x.dtype), np.empty(BLOCK, x.dtype)
        for n in range(N):
            for d in range(width):
                h[n, d] = start[b, n, first + d]
                a[n, d] = A[n, first + d]
        for t in range(L):
            if t % CHUNK == 0:
                for n in range(N):
                    for d in range(width):
                        held[b, t // CHUNK, n, first + d] = h[n, d]
            for d in range(width):
                dt[d] = delta[b, t, first + d]
                u[d] = dt[d] * x[b, t, first + d]
                acc[d] = 0
            for n in range(N):
                Bn, Cn = B[b, t, n], C[b, t, n]
                for d in range(width):
                    s = _exp(dt[d] * a[n, d]) * h[n, d] + u[d] * Bn
                    h[n, d] = s
                    acc[d] += s * Cn
            for d in range(width):
                y[b, t, first + d] = acc[d]
        for n in range(N):
            for d in range(width):
                held[b, held.shape[1] - 1, n, first + d] = h[n, d]


@njit(cache=True, fastmath={"contract", "reassoc"}, error_model="numpy")
def _sum(x):
    total = x[0] * 0
    for d in range(x.shape[0]):
        total += x[d]
    return total


@njit(parallel=True, cache=True, fastmath={"contract"}, error_model="numpy")
def backward(x, delta, A, B, C, held, gy, gh, gx, gdelta, gA, gB, gC, gstart):
    """Fill the gradients from gy (b, L, D) and gh (b, N, D), that of the final state.

    gA (b, N, D) is per sequence, gB and gC (blocks, b, L, N) per block of channels: the caller adds them up.
    """
    batch, L, D = x.shape
    N = A.shape[0]
    blocks = (D + BLOCK - 1) // BLOCK
    for job in prange(batch * blocks):
        b, block = job // blocks, job % blocks
        first = block * BLOCK
        width = min(BLOCK, D - first)
        h = np.empty((CHUNK + 1, N, BLOCK), x.dtype)
        a = np.empty((CHUNK, N, BLOCK), x.dtype)
        g = np.zeros((N, BLOCK), x.dtype)
        own, slope = np.empty((N, BLOCK), x.dtype), np.zeros((N, BLOCK), x.dtype)
        gu, gd = np.empty(BLOCK, x.dtype), np.empty(BLOCK, x.dtype)
        partB, partC = np.zeros(BLOCK, x.dtype), np.zeros(BLOCK, x.dtype)
        for n in range(N):
            for d in range(width):
                own[n, d] = A[n, first + d]
                g[n, d] = gh[b, n, first + d]
        for chunk in range((L + CHUNK - 1) // CHUNK - 1, -1, -1):
            t0 = chunk * CHUNK
            size = min(CHUNK, L - t0)
            for n in range(N):
                for d in range(width):
                    h[0, n, d] = held[b, chunk, n, first + d]
            for i in range(size):
                for n in range(N):
                    Bn = B[b, t0 + i, n]
                    for d in range(width):
                        dt = delta[b, t0 + i, first + d]
                        e = _exp(dt * own[n, d])
                        a[i, n, d] = e
                        h[i + 1, n, d] = e * h[i, n, d] + dt * x[b, t0 + i, first + d] * Bn
            for i in range(size - 1, -1, -1):
                t = t0 + i
                for d in range(width):
                    gu[d] = 0
                    gd[d] = 0
                for n in range(N):
                    Bn, Cn = B[b, t, n], C[b, t, n]
                    for d in range(width):
                        out = gy[b, t, first + d]
                        s = g[n, d] + out * Cn
                        partC[d] = out * h[i + 1, n, d]
                        partB[d] = s * delta[b, t, first + d] * x[b, t, first + d]
                        gu[d] += s * Bn
                        e = s * h[i, n, d] * a[i, n, d]
                        gd[d] += e * own[n, d]
                        slope[n, d] += e * delta[b, t, first + d]
                        g[n, d] = s * a[i, n, d]
                    gB[block, b, t, n] = _sum(partB)
                    gC[block, b, t, n] = _sum(partC)
                for d in range(width):
                    gx[b, t, first + d] = gu[d] * delta[b, t, first + d]
                    gdelta[b, t, first + d] = gd[d] + gu[d] * x[b, t, first + d]
        for n in range(N):
            for d in range(width):
                gA[b, n, first + d] = slope[n, d]
                gstart[b, n, first + d] = g[n, d]
