"""pygama's peak shapes, told to keep their compiled code before they are first imported.

By itself pygama compiles them in each process, seconds every time, and what it was told counts only for modules that
are imported later: import them from here alone, also where all imports of a function are done ahead of it.
"""

from pygama.utils import numba_math_defaults

numba_math_defaults.cache = True

from pygama.math import distributions  # noqa: E402
from pygama.math.functions.exgauss import nb_exgauss_cdf, nb_exgauss_pdf  # noqa: E402
from pygama.math.functions.gauss import nb_gauss_cdf, nb_gauss_pdf  # noqa: E402
from pygama.math.functions.step import nb_step_cdf, nb_step_pdf  # noqa: E402

__all__ = [
    "distributions",
    "nb_exgauss_cdf",
    "nb_exgauss_pdf",
    "nb_gauss_cdf",
    "nb_gauss_pdf",
    "nb_step_cdf",
    "nb_step_pdf",
]
