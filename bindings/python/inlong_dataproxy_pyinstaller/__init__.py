"""Tells PyInstaller where the hook is. An entry point leads here: nobody who freezes a program need know of it."""

from __future__ import annotations

from pathlib import Path


def hook_folders() -> list[str]:
    """Return the folder of the hook."""
    return [str(Path(__file__).resolve().parent)]
