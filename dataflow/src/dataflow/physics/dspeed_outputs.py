"""Results that dspeed's processors lose where types differ.

Processors without ``->`` in their signature (``presum``, ``histogram``, ``windower``, …) write into what numpy takes
for inputs. Where such an array has another type than the loop that runs, numpy hands a converted copy to the loop, and
what is written there is lost: a ``presum`` of int32 traces, or into uint32, gives zeros. :func:`install` makes dspeed
convert such arrays itself, and copy them back. Needless as soon as ``tests/physics/test_codecs.py`` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import numpy as np

MARK = "_writes_back"


def install() -> None:
    """Teach dspeed's manager of processors; a second call does nothing."""
    from dspeed.processing_chain import ProcessorManager

    original = ProcessorManager.__init__
    if hasattr(original, MARK):
        return

    @wraps(original)
    def prepared(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        others = converted_arguments(self.signature, self.args, self.types)
        if others:
            self.processor = writing_back(self.processor, others)

    setattr(prepared, MARK, True)
    ProcessorManager.__init__ = prepared


def converted_arguments(signature: str, args: Sequence[Any], types: Sequence[np.dtype[Any]]) -> dict[int, Any]:
    """The types of a processor's loop for those arguments that numpy would hand over as copies and never read back."""
    if "->" in signature:
        return {}
    pairs = enumerate(zip(args, types, strict=False))
    return {place: kind for place, (one, kind) in pairs if _is_copied(one, kind)}


def _is_copied(argument: Any, kind: np.dtype[Any]) -> bool:
    return isinstance(argument, np.ndarray) and argument.dtype != kind and argument.flags.writeable


def writing_back(processor: Callable[..., Any], kinds: Mapping[int, Any]) -> Callable[..., Any]:
    """A processor whose arguments at some places are converted, and copied back after it has run."""

    @wraps(processor, updated=())
    def run(*args: Any, **kwargs: Any) -> None:
        copies = {place: args[place].astype(kind) for place, kind in kinds.items()}
        processor(*(copies.get(place, one) for place, one in enumerate(args)), **kwargs)
        for place, copy in copies.items():  # what was only read comes back as it was
            np.copyto(args[place], copy, casting="unsafe")

    return run
