"""An SVG of ours as a PNG, without a browser, a system library or installed fonts (docs/decisions/0016)."""

from __future__ import annotations

import logging
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_log = logging.getLogger(__name__)

SCALE: Final = 2.0
"""Pixels per unit of the SVG: sharp on a screen with a high density."""
FAMILY: Final = "HK Grotesk"
_FONTS: Final = ("HKGrotesk-Regular.otf", "HKGrotesk-SemiBold.otf")


def png(picture: str) -> bytes | None:
    """PNG of a picture made by `promptship.render.svg`; None when it cannot be drawn, which the log says."""
    files = fonts()
    if not files:
        _log.warning("a chart is left out: its font is not installed")
        return None
    import resvg_py

    try:
        drawn = resvg_py.svg_to_bytes(
            svg_string=picture, zoom=SCALE, skip_system_fonts=True, font_files=files, font_family=FAMILY, sans_serif_family=FAMILY,
        )  # fmt: skip
    except ValueError as error:
        _log.warning("a chart is left out: %s", error)
        return None
    return bytes(drawn)


@cache
def fonts() -> list[str]:
    """Files of the font; Great Expectations, which judges our telemetry, brings it along (SIL Open Font License)."""
    found = find_spec("great_expectations")  # finding it does not import it, which takes seconds
    if found is None or found.origin is None:
        return []
    folder = Path(found.origin).parent / "render/view/static/fonts/HKGrotesk"
    files = [folder / name for name in _FONTS]
    return [str(file) for file in files] if all(file.is_file() for file in files) else []
