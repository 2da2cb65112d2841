"""Keeps freed memory in the process: training frees and takes the same large blocks in every step."""

import ctypes
import sys

M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Tells glibc not to give freed memory back to the system; does nothing elsewhere.

    By default a block of over 32 MiB is mapped anew each time it is taken, and the top of the heap is
    given back each time it is freed. The page faults that follow cost several times what an elementwise
    kernel costs on the same block.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, LARGEST)
