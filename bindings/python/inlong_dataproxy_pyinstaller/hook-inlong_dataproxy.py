"""Has PyInstaller take the native libraries along, which no import leads to."""

from __future__ import annotations

from PyInstaller.utils.hooks import collect_data_files

datas = collect_data_files("inlong_dataproxy", subdir="_lib")
