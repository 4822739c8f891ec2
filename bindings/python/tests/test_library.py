from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import CHECKOUT, PACKAGE, run_python

import inlong_dataproxy
from inlong_dataproxy._native import lowlevel as low
from inlong_dataproxy._native.library import ENVIRONMENT_VARIABLE
from inlong_dataproxy._version import CORE_FILE_NAME, FILE_NAME

HEADER = CHECKOUT / "include" / "inlong_dataproxy.h"
STRUCTS = {
    "inlong_attribute": low.Attribute,
    "inlong_message": low.Message,
    "inlong_result": low.ResultRecord,
    "inlong_option_info": low.OptionInfo,
    "inlong_close_report": low.CloseReportRecord,
    "inlong_log_line": low.LogLine,
    "inlong_row_settings": low.RowSettings,
}
TELL = """
try:
    import inlong_dataproxy
except ImportError as error:
    print(error)
"""
UNUSED = {
    "inlong_error_text",  # inlong_last_error says more
    "inlong_error_describe",  # for programs of C, which have no exceptions with texts
    "inlong_mock_stats",  # inlong_mock_control does all
    "inlong_client_send_async",  # send_packed with one message, whose results come in ranges
    "inlong_client_send_many",  # send_packed
    "inlong_row_format_new",  # rows are made in Python: a call for each would cost more
    "inlong_row_write",
    "inlong_log_set",  # each client's options say it
    "inlong_options_set_batch_callback",  # results are polled: C does not call Python
}


def test_package_and_library_have_one_version() -> None:
    # A release in which one of the two was forgotten is refused at import by every user.
    assert low.version().decode() == inlong_dataproxy.__version__
    assert f'\nconst Version = "{inlong_dataproxy.__version__}"\n' in (CHECKOUT / "core" / "producer.go").read_text()


def test_every_function_of_the_header_is_bound_or_left_out_on_purpose() -> None:
    # A function added to the header and forgotten here, or bound under a wrong name.
    declared = set(re.findall(r"^INLONG_API .*?\b(inlong_\w+)\(", HEADER.read_text(), re.MULTILINE))
    bound = set(re.findall(r'"(inlong_\w+)"', (PACKAGE / "inlong_dataproxy" / "_native" / "lowlevel.py").read_text()))
    bound.add("inlong_abi_version")  # the loader asks for it
    assert declared - bound == UNUSED
    assert bound <= declared


def test_structs_have_the_layout_of_the_header(tmp_path: Path) -> None:
    # A field added, moved or of another width reads garbage without any error.
    lines = []
    for name, struct in STRUCTS.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        lines += [f'printf("{name}.{field[0]} %zu\\n", offsetof({name}, {field[0]}));' for field in struct._fields_]
    source = tmp_path / "layout.c"
    source.write_text(f'#include <stdio.h>\n#include "{HEADER}"\nint main(void) {{\n{chr(10).join(lines)}\nreturn 0;\n}}\n')
    compiler = shutil.which("cc") or "gcc"
    subprocess.run([compiler, "-o", str(tmp_path / "layout"), str(source)], check=True)
    printed = subprocess.run([str(tmp_path / "layout")], check=True, capture_output=True, text=True).stdout

    expected = []
    for name, struct in STRUCTS.items():
        expected.append(f"{name} {ctypes.sizeof(struct)}")
        expected += [f"{name}.{field[0]} {getattr(struct, field[0]).offset}" for field in struct._fields_]
    assert printed.split("\n")[:-1] == expected


def test_a_wrong_environment_variable_is_not_hidden_by_another_library(tmp_path: Path) -> None:
    # Someone points at a library that is gone, and tests the installed one without knowing.
    done = run_python("import inlong_dataproxy", check=False, variables={ENVIRONMENT_VARIABLE: str(tmp_path)})
    assert done.returncode == 1
    assert f"LibraryError: the native library of inlong_dataproxy was not found; tried:\n  {tmp_path / FILE_NAME}" in done.stderr
    assert "no such file" in done.stderr
    assert "system's search path" not in done.stderr


def test_the_error_lists_every_path_that_was_tried(tmp_path: Path) -> None:
    # "Not found" without where leaves the user guessing.
    shutil.copytree(PACKAGE / "inlong_dataproxy", tmp_path / "inlong_dataproxy", ignore=shutil.ignore_patterns("__pycache__"))
    done = run_python("import inlong_dataproxy", check=False, variables={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert f"{tmp_path / 'inlong_dataproxy' / '_lib' / FILE_NAME} (inside the package): no such file" in done.stderr
    assert f"{FILE_NAME} (system's search path): " in done.stderr


def test_an_import_error_handler_catches_a_missing_library(tmp_path: Path) -> None:
    # Programs that treat the package as optional catch ImportError.
    script = "try:\n    import inlong_dataproxy\nexcept ImportError as error:\n    print(type(error).__name__)"
    assert run_python(script, variables={ENVIRONMENT_VARIABLE: str(tmp_path)}).stdout == "LibraryError\n"


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ("", "is not the inlong_dataproxy library"),
        ('int inlong_abi_version(void) { return 1; } char *inlong_version(void) { return "9.9.9"; }', "is version 9.9.9 (ABI 1)"),
        ('int inlong_abi_version(void) { return 7; } char *inlong_version(void) { return "0.1.0"; }', "is version 0.1.0 (ABI 7)"),
    ],
)
def test_a_library_that_does_not_fit_is_refused(tmp_path: Path, functions: str, message: str) -> None:
    # Another version's structs would be read as this one's.
    source, library = tmp_path / "other.c", tmp_path / FILE_NAME
    source.write_text(functions + "\n")
    subprocess.run([shutil.which("cc") or "gcc", "-w", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    done = run_python("import inlong_dataproxy", check=False, variables={ENVIRONMENT_VARIABLE: str(library)})
    assert done.returncode == 1
    assert f"LibraryError: {library} {message}" in done.stderr


def test_a_package_without_the_core_says_so_at_import(tmp_path: Path) -> None:
    # Half an installation imports well, and fails at the first client.
    package = tmp_path / "inlong_dataproxy"
    shutil.copytree(PACKAGE / "inlong_dataproxy", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "_lib").mkdir()
    shutil.copy(CHECKOUT / "build" / "lib" / FILE_NAME, package / "_lib")
    done = run_python("import inlong_dataproxy", check=False, variables={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert f"LibraryError: {package / '_lib' / FILE_NAME} has no {CORE_FILE_NAME} next to it" in done.stderr


def test_a_core_of_another_build_is_a_library_error(tmp_path: Path) -> None:
    # Its structs would be read as those of this one.
    source = tmp_path / "core.c"
    source.write_text("int nothing;\n")
    core = tmp_path / CORE_FILE_NAME
    subprocess.run([shutil.which("cc") or "gcc", "-shared", "-fPIC", "-o", str(core), str(source)], check=True)
    script = TELL.replace(
        "import inlong_dataproxy", "from inlong_dataproxy import Client; Client('http://127.0.0.1:1', group_id='g')"
    )
    printed = run_python(script, variables={"INLONG_DATAPROXY_CORE": str(core)}).stdout
    assert f"{CORE_FILE_NAME} is not a core of this library" in printed


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            "os.confstr = lambda name: int('no such name')",
            "Linux on x86_64, 64-bit Python, a C library other than glibc (musl, as in Alpine)",
        ),
        ("platform.machine = lambda: 'riscv64'", "Linux on riscv64, 64-bit Python, glibc 2."),
        ("sys.maxsize = 2**31 - 1", "Linux on x86_64, 32-bit Python, glibc 2."),
        (
            "sys.platform = 'darwin'; platform.system = lambda: 'Darwin'; platform.machine = lambda: 'arm64'",
            "Darwin on arm64, 64-bit Python",
        ),
    ],
)
def test_a_platform_that_it_does_not_run_on_is_named(change: str, found: str) -> None:
    # "No such file", or a crash where musl loads what was linked with glibc.
    script = f"import os, platform, sys, ctypes\n{change}\n" + TELL
    assert run_python(script).stdout.startswith(
        f"inlong_dataproxy runs on Linux on x86-64 or arm64 with glibc, 64-bit Python; this is {found}"
    )


def test_a_glibc_that_is_too_old_is_named_with_the_one_that_is_needed(tmp_path: Path) -> None:
    compiler = shutil.which("cc") or "gcc"
    (tmp_path / "libc.map").write_text("GLIBC_2.99 { global: later; local: *; };\n")
    (tmp_path / "libc.c").write_text("void later(void) {}\n")
    (tmp_path / "front.c").write_text("void later(void); void front(void) { later(); }\n")
    flags = [compiler, "-shared", "-fPIC", "-nostdlib"]
    newer = [
        f"-Wl,--version-script={tmp_path / 'libc.map'}",
        "-Wl,-soname,libc.so.6",
        "-o",
        str(tmp_path / "libc.so"),
        str(tmp_path / "libc.c"),
    ]
    subprocess.run([*flags, *newer], check=True)
    library = tmp_path / FILE_NAME
    subprocess.run([*flags, "-o", str(library), str(tmp_path / "front.c"), str(tmp_path / "libc.so")], check=True)
    done = run_python("import inlong_dataproxy", check=False, variables={ENVIRONMENT_VARIABLE: str(library)})
    assert done.returncode == 1
    assert "it needs glibc 2.99 or newer, this system has glibc 2." in done.stderr
