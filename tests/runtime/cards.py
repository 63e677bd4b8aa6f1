"""Whether there is a card, asked of the driver: torch takes seconds to read."""

import ctypes
import sys


def there_is_one():
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    number = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(number)) == 0 and number.value > 0


def require():
    """Ends a test with 77, skipped, where there is none."""
    if not there_is_one():
        print("skipped: no CUDA device")
        sys.exit(77)
