"""Tells a panic of the Rust code under Delta and Parquet from everything else: a file that was cut short makes it panic.

Used where errors of the lake are translated. What surprised us: a panic is no `Exception`, so it passes every handler of errors, and ends
the thread that reads; and each extension module has a class of its own for it, which nobody can import.
"""

from __future__ import annotations


def is_panic(error: BaseException) -> bool:
    """Whether it is one.

    >>> is_panic(KeyboardInterrupt()), is_panic(ValueError())
    (False, False)
    """
    return type(error).__name__ == "PanicException"
