"""Puts the two native libraries and the command-line program into wheels, and what they are built from into source archives.

The rest is in pyproject.toml.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

from setuptools import Command, Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
VERSION = runpy.run_path(str(HERE / "inlong_dataproxy" / "_version.py"))
LIBRARIES = (VERSION["FILE_NAME"], VERSION["CORE_FILE_NAME"])
PROGRAM = "inlong-dataproxy"
BILL = "inlong-dataproxy.cdx.json"
LINKED_LICENCES = "core/THIRD_PARTY_LICENSES.txt"
OLDEST_GLIBC = (2, 28)
"""What the libraries are tried with, even when they ask for nothing newer than an older one."""
CHECKOUT = HERE.parent.parent
IN_CHECKOUT = (CHECKOUT / "include" / "inlong_dataproxy.h").is_file() and (CHECKOUT / "Makefile").is_file()
ARCHIVED = HERE / "native"
"""Where a source archive has what a checkout has around this folder, as far as libraries and program are built from it."""
SOURCE = CHECKOUT if IN_CHECKOUT else ARCHIVED
BUILT_FROM = ("Makefile", "LICENSE", "go.mod", "go.sum", "core", "capi", "include", "bindings/python/build.mk")


def find_libraries() -> Path:
    """Return the folder with both libraries, building them first where that is possible."""
    given = os.environ.get("INLONG_DATAPROXY_LIB_DIR")
    if given:
        return checked(Path(given), "INLONG_DATAPROXY_LIB_DIR")
    built = SOURCE / "build" / "lib"
    compiler = shlex.split(os.environ.get("CC") or "cc")[0]  # "ccache gcc"
    lacking = [tool for tool in ("go", compiler, "make") if not shutil.which(tool)]
    if SOURCE.is_dir() and not lacking:
        done = subprocess.run(["make", "-C", str(SOURCE), "python-native"], check=False)
        if done.returncode:
            raise SystemExit("inlong-dataproxy: the native libraries could not be built: the reason is above")
        return checked(built, "what `make python-native` built")
    if built.is_dir():
        return checked(built, "the checkout's build/lib")
    raise SystemExit(
        f"inlong-dataproxy: the native libraries are missing and cannot be built here: {why_not(lacking)}. Install the wheel, or "
        "set INLONG_DATAPROXY_LIB_DIR to a folder with " + " and ".join(LIBRARIES)
    )


def why_not(lacking: list[str]) -> str:
    """Return what keeps this machine from building the libraries."""
    if not SOURCE.is_dir():
        return "this is neither a checkout of the repository nor its source archive"
    return f"{' and '.join(lacking)} not on the PATH"


def checked(folder: Path, origin: str) -> Path:
    """Return folder when both libraries are in it, end with an error that says where it came from otherwise."""
    missing = [name for name in LIBRARIES if not (folder / name).is_file()]
    if missing:
        raise SystemExit(f"inlong-dataproxy: {' and '.join(missing)} not found in {folder} ({origin})")
    return folder


def strip(file: Path) -> None:
    """Take out the symbols, if there are some and a tool for it: with them a wheel is twice as large."""
    tool = shutil.which("strip")
    if tool and b"\0.symtab\0" in file.read_bytes():
        subprocess.run([tool, "--strip-all", str(file)], check=True)


def bill_of(packed: Path, built: Path) -> str:
    """Return the bill of materials with the sums of the files as they are packed: symbols were taken out of them."""
    text = said = (built.parent / BILL).read_text(encoding="utf-8")
    for file in sorted(packed.iterdir()):
        source = built.parent / ("bin" if file.name == PROGRAM else built.name) / file.name
        old, new = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (source, file))
        text = text.replace(old, new)
    number = str(json.loads(text)["serialNumber"])  # no two bills have the same
    return text if text == said else text.replace(number, uuid.uuid5(uuid.UUID(number), text).urn)


def machine(file: Path) -> str:
    """Return the processor that an ELF file is for: libraries may have been built for another one than this machine's."""
    number = int.from_bytes(file.read_bytes()[18:20], "little")
    return {62: "x86_64", 183: "aarch64"}[number]


def glibc_needed(file: Path) -> tuple[int, int]:
    """Return the newest version of glibc that a binary asks for: the names of versions stand in its table of strings."""
    found = re.findall(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)", file.read_bytes())
    return max(((int(major), int(minor)) for major, minor in found), default=OLDEST_GLIBC)


class BuildLibraries(Command):
    """Copies libraries and program to inlong_dataproxy/_lib of the build, where the package looks for them first."""

    description = "copy the native libraries into the package"
    user_options = [("build-lib=", "d", "folder of the build")]  # noqa: RUF012 - the base class declares it so
    build_lib: str | None = None
    editable_mode = False

    def initialize_options(self) -> None:
        self.build_lib = None

    def finalize_options(self) -> None:
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def _target(self) -> Path:
        return Path(self.build_lib or "") / "inlong_dataproxy" / "_lib"

    def run(self) -> None:
        if self.editable_mode:
            return  # an editable install finds the libraries in the checkout's build/lib
        source, target = find_libraries(), self._target()
        target.mkdir(parents=True, exist_ok=True)
        for name in LIBRARIES:
            shutil.copy2(source / name, target / name)
            strip(target / name)
        program = source.parent / "bin" / PROGRAM
        if program.is_file():
            shutil.copy2(program, target / PROGRAM)
            strip(target / PROGRAM)

    def get_outputs(self) -> list[str]:
        return [str(self._target() / name) for name in LIBRARIES]

    def get_source_files(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class Build(build):
    sub_commands = [*build.sub_commands, ("build_libraries", None)]  # noqa: RUF012 - as above

    def run(self) -> None:
        """Build anew: a module or library that an older commit had would get into the wheel."""
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class PlatformWheel(bdist_wheel):
    """The libraries depend on the platform, but through ctypes on no version of Python."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        platform = super().get_tag()[2]
        if not platform.startswith("linux_"):
            return "py3", "none", platform
        folder = Path(self.bdist_dir or "") / "inlong_dataproxy" / "_lib"
        major, minor = max(OLDEST_GLIBC, *(glibc_needed(file) for file in folder.iterdir()))
        return "py3", "none", f"manylinux_{major}_{minor}_{machine(folder / LIBRARIES[0])}"

    def write_wheelfile(self, wheelfile_base: str, *arguments: Any, **named: Any) -> None:
        """Put beside what every wheel says of itself: the licences of what is linked into it, and the bill of materials."""
        super().write_wheelfile(wheelfile_base, *arguments, **named)
        info, top, built = Path(wheelfile_base), Path(self.bdist_dir or ""), find_libraries()
        if (SOURCE / LINKED_LICENCES).is_file():
            (info / "licenses").mkdir(exist_ok=True)
            shutil.copy2(SOURCE / LINKED_LICENCES, info / "licenses")
        if (built.parent / BILL).is_file():  # not with libraries from elsewhere
            (info / "sboms").mkdir(exist_ok=True)
            (info / "sboms" / BILL).write_text(bill_of(top / "inlong_dataproxy" / "_lib", built), encoding="utf-8")
        for path in top.rglob("*"):  # the same wheel, whatever the umask was when the sources came
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


class SourceArchive(sdist):
    """Brings along what libraries and program are built from: the archive builds wherever Go, a C compiler and make are."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        for name in BUILT_FROM:
            source, target = SOURCE / name, Path(base_dir) / ARCHIVED.name / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("*_test.go", "testdata", "*.md"))
            else:
                shutil.copy2(source, target)


class BinaryDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


def build_folders() -> dict[str, dict[str, str]]:
    """Keep what setuptools writes inside the checkout's build folder."""
    if not IN_CHECKOUT:
        return {}
    base = CHECKOUT / "build" / "python"
    (base / "egg").mkdir(parents=True, exist_ok=True)
    return {"build": {"build_base": str(base / "setuptools")}, "egg_info": {"egg_base": str(base / "egg")}}


setup(
    distclass=BinaryDistribution,
    cmdclass={"build": Build, "build_libraries": BuildLibraries, "bdist_wheel": PlatformWheel, "sdist": SourceArchive},
    options=build_folders(),
)
