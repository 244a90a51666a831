"""Put the player's files, which are AURAL's own, into a distribution that is built in AURAL's repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "gradio_abplayer"
SOURCE = "aural/ui/abplayer"  # in the repository


class PlayerFiles(BuildHookInterface):
    """Both the sdist and the wheel get the folder, under the package's name."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Name the folder to hatchling, which finds an sdist's own copy by itself."""
        root = Path(self.root)
        if not (root / PACKAGE).is_dir():
            build_data["force_include"][str(root.parents[1] / SOURCE)] = PACKAGE
