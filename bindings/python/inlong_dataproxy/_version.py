"""The version of this package and what follows from it; that of the native library must be the same."""

import re

__version__ = "0.1.0"
"""That of core/producer.go: `make versions` writes it here."""

ABI_VERSION = 1
"""The binary interface (include/inlong_dataproxy.h) that this package was written for."""

FILE_NAME = "libinlong_dataproxy.so." + re.sub(r"^(0\.\d+|\d+).*", r"\1", __version__)
"""The library by its SONAME. Releases that break no program have one: the first number, before 1.0 the first two."""

CORE_FILE_NAME = "libinlong_dataproxy_core.so." + __version__
