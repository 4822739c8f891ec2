"""Finds and loads the native library, and checks that it fits this package."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from pathlib import Path

from inlong_dataproxy._version import ABI_VERSION, CORE_FILE_NAME, FILE_NAME, __version__
from inlong_dataproxy.errors import LibraryError

ENVIRONMENT_VARIABLE = "INLONG_DATAPROXY_LIBRARY"
_INSIDE = "inside the package"
_PACKAGE = Path(__file__).resolve().parent.parent


def candidates() -> list[tuple[str, str]]:
    """Return what is tried, best first, as pairs of the name to load and where it comes from."""
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    if given:
        # A wrong value must not be hidden by a library found elsewhere.
        path = Path(given)
        return [(str(path / FILE_NAME if path.is_dir() else path), ENVIRONMENT_VARIABLE)]
    found = [(str(_PACKAGE / "_lib" / FILE_NAME), _INSIDE)]
    checkout = _PACKAGE.parent.parent.parent
    if (checkout / "include" / "inlong_dataproxy.h").is_file():
        found.append((str(checkout / "build" / "lib" / FILE_NAME), "build folder of the checkout"))
    found.append((FILE_NAME, "system's search path"))
    return found


def load() -> tuple[ctypes.CDLL, ctypes.PyDLL]:
    """Load the library and return it twice: the second way keeps the GIL, for calls that are short and never wait.

    Raises:
        LibraryError: this platform is none that the library runs on, none of the candidates can be loaded (each is listed with its
            reason), or the one that was has another version than this package, or no core next to it.
    """
    _check_platform()
    tried: list[str] = []
    for name, origin in candidates():
        if os.sep in name and not Path(name).is_file():
            tried.append(f"{name} ({origin}): no such file")
            continue
        try:
            library = ctypes.CDLL(name)
        except OSError as error:
            tried.append(f"{name} ({origin}): {error}{_older_libc(str(error))}")
            continue
        _check_version(library, name)
        if origin == _INSIDE:
            _check_core(Path(name))
        return library, ctypes.PyDLL(name, handle=library._handle)
    raise LibraryError(
        "the native library of inlong_dataproxy was not found; tried:\n  "
        + "\n  ".join(tried)
        + f"\nInstall the package again, run `make capi` in a checkout, or set {ENVIRONMENT_VARIABLE} to the file."
    )


def _check_platform() -> None:
    # Before anything is loaded: musl reads a library for glibc without complaint, and crashes in it later.
    machine, libc = platform.machine(), _glibc()
    if sys.platform == "linux" and machine in ("x86_64", "aarch64") and sys.maxsize > 2**32 and libc:
        return
    found = f"{platform.system()} on {machine}, {'64' if sys.maxsize > 2**32 else '32'}-bit Python"
    if sys.platform == "linux":
        found += f", {libc or 'a C library other than glibc (musl, as in Alpine)'}"
    raise LibraryError(f"inlong_dataproxy runs on Linux on x86-64 or arm64 with glibc, 64-bit Python; this is {found}")


def _glibc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):  # another libc does not know the name
        return ""


def _older_libc(reason: str) -> str:
    needed = re.findall(r"version `GLIBC_([\d.]+)' not found", reason)
    return f"; it needs glibc {needed[0]} or newer, this system has {_glibc()}" if needed else ""


def _check_core(front: Path) -> None:
    # Only a look: loading it starts threads, and belongs to the first client, which compares the versions of the two.
    if not (front.parent / CORE_FILE_NAME).is_file() and not os.environ.get("INLONG_DATAPROXY_CORE"):
        raise LibraryError(f"{front} has no {CORE_FILE_NAME} next to it: half of the library is missing; install the package again")


def _check_version(library: ctypes.CDLL, name: str) -> None:
    try:
        library.inlong_abi_version.restype = ctypes.c_uint32
        library.inlong_version.restype = ctypes.c_char_p
        abi = int(library.inlong_abi_version())
        version = str(library.inlong_version(), "utf-8")
    except AttributeError:
        raise LibraryError(f"{name} is not the inlong_dataproxy library: it has no version functions") from None
    if abi != ABI_VERSION or version.partition("+")[0] != __version__:
        raise LibraryError(
            f"{name} is version {version} (ABI {abi}), but this package is {__version__} (ABI {ABI_VERSION}); this comes "
            f"from another installation's library: install the package again, or unset {ENVIRONMENT_VARIABLE}"
        )
