"""What is computed once for an object and kept for as long as that object lives."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

P = ParamSpec("P")
K = TypeVar("K")
T = TypeVar("T")


def kept_with_first(
    make: Callable[Concatenate[K, P], T],
) -> Callable[Concatenate[K, P], T]:
    """Makes a function's value once for each set of arguments, while the first of them lives.

    An avatar that was removed must not stay in memory because something was computed for it.
    The first argument needs weak references, the others are given by place and have hashes; the
    value must not hold the first.
    """
    kept: WeakKeyDictionary[K, dict[tuple[object, ...], T]] = WeakKeyDictionary()
    lock = threading.Lock()

    @wraps(make)
    def get(first: K, /, *rest: P.args, **named: P.kwargs) -> T:
        with lock:
            values = kept.setdefault(first, {})
        # Two threads may both make it: the later one's value stays, either is right.
        if rest not in values:
            values[rest] = make(first, *rest, **named)
        return values[rest]

    return get
