"""Random numbers inside compiled code, the same on every machine and for every numpy version.

The generator is xoshiro256++ seeded through splitmix64 (Blackman and Vigna, ACM Trans. Math. Softw. 47 (2021) 36);
its state is an array of four uint64 that the caller owns.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gebox.compiled import compiled

State = NDArray[np.uint64]


def seeded(number: int) -> State:
    """A state from a 64-bit integer."""
    mask = (1 << 64) - 1
    words = []
    for _ in range(4):
        number = (number + 0x9E3779B97F4A7C15) & mask
        word = number
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
        words.append(word ^ (word >> 31))
    return np.array(words, dtype=np.uint64)


@compiled
def _rotated(value: np.uint64, by: int) -> np.uint64:
    return np.uint64((value << np.uint64(by)) | (value >> np.uint64(64 - by)))


@compiled
def bits(state: State) -> np.uint64:
    """The next 64 random bits."""
    result = _rotated(state[0] + state[3], 23) + state[0]
    shifted = state[1] << np.uint64(17)
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = _rotated(state[3], 45)
    return np.uint64(result)


@compiled
def uniform(state: State) -> float:
    """Uniform in (0, 1)."""
    return (float(bits(state) >> np.uint64(11)) + 0.5) * (1.0 / 9007199254740992.0)


@compiled
def below(state: State, limit: int) -> int:
    """A whole number from 0 to limit - 1."""
    return int(uniform(state) * limit)


@compiled
def exponential(state: State) -> float:
    """Exponentially distributed with mean 1."""
    return -math.log(uniform(state))


@compiled
def normal(state: State) -> float:
    """Standard normal (Box and Muller, one of the pair)."""
    radius = math.sqrt(-2.0 * math.log(uniform(state)))
    return radius * math.cos(2.0 * math.pi * uniform(state))


@compiled
def poisson(state: State, mean: float) -> int:
    """Poisson distributed: by multiplication for small means, by a rounded normal above 50."""
    if mean > 50.0:
        return max(0, int(round(mean + math.sqrt(mean) * normal(state))))
    limit = math.exp(-mean)
    count = 0
    product = uniform(state)
    while product > limit:
        product *= uniform(state)
        count += 1
    return count


@compiled
def uniforms(state: State, number: int) -> NDArray[np.float64]:
    """An array of values uniform in (0, 1)."""
    values = np.empty(number)
    for index in range(number):
        values[index] = uniform(state)
    return values
