"""The version of this package; that of the native library must be the same."""

__version__ = "0.1.0"

ABI_VERSION = 1
"""The binary interface (include/inlong_dataproxy.h) that this package was written for."""
