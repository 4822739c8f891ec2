"""Finds and loads the native library, and checks that it fits this package."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from ._version import ABI_VERSION, __version__
from .errors import LibraryError

FILE_NAME = "libinlong_dataproxy.so.1"
ENVIRONMENT_VARIABLE = "INLONG_DATAPROXY_LIBRARY"
_PACKAGE = Path(__file__).resolve().parent


def candidates() -> list[tuple[str, str]]:
    """Return what is tried, best first, as pairs of the name to load and where it comes from."""
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    if given:
        # A wrong value must not be hidden by a library found elsewhere.
        path = Path(given)
        return [(str(path / FILE_NAME if path.is_dir() else path), ENVIRONMENT_VARIABLE)]
    found = [(str(_PACKAGE / "_lib" / FILE_NAME), "inside the package")]
    checkout = _PACKAGE.parent.parent.parent
    if (checkout / "include" / "inlong_dataproxy.h").is_file():
        found.append((str(checkout / "build" / "lib" / FILE_NAME), "build folder of the checkout"))
    found.append((FILE_NAME, "system's search path"))
    return found


def load() -> tuple[ctypes.CDLL, ctypes.PyDLL]:
    """Load the library and return it twice: the second way keeps the GIL, for calls that are short and never wait.

    Raises:
        LibraryError: none of the candidates can be loaded (each is listed with its reason), or the one that was has
            another version than this package.
    """
    tried: list[str] = []
    for name, origin in candidates():
        if os.sep in name and not Path(name).is_file():
            tried.append(f"{name} ({origin}): no such file")
            continue
        try:
            library = ctypes.CDLL(name)
        except OSError as error:
            tried.append(f"{name} ({origin}): {error}")
            continue
        _check_version(library, name)
        return library, ctypes.PyDLL(name, handle=library._handle)
    raise LibraryError(
        "the native library of inlong_dataproxy was not found; tried:\n  "
        + "\n  ".join(tried)
        + f"\nInstall the package again, run `make capi` in a checkout, or set {ENVIRONMENT_VARIABLE} to the file."
    )


def _check_version(library: ctypes.CDLL, name: str) -> None:
    try:
        library.inlong_abi_version.restype = ctypes.c_uint32
        library.inlong_version.restype = ctypes.c_char_p
        abi = int(library.inlong_abi_version())
        version = str(library.inlong_version(), "utf-8")
    except AttributeError:
        raise LibraryError(f"{name} is not the inlong_dataproxy library: it has no version functions") from None
    if abi != ABI_VERSION or version != __version__:
        raise LibraryError(
            f"{name} is version {version} (ABI {abi}), but this package is {__version__} (ABI {ABI_VERSION}); this comes "
            f"from another installation's library: install the package again, or unset {ENVIRONMENT_VARIABLE}"
        )
