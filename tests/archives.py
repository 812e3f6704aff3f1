"""What the tests of archives share: small real FITS files and impatient options."""

import datetime as dt
import io
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from astrid_core.remote.config import ArchiveOptions
from tests.archive_server import ArchiveServer


def tiny_fits(seed: int, side_pix: int = 32, **cards: Any) -> bytes:
    """A FITS image with checksums, a date and a filter: bytes that differ by seed."""
    pixels = np.random.default_rng(seed).normal(1000, 30, (side_pix, side_pix)).astype(np.float32)
    hdu = fits.PrimaryHDU(pixels)
    hdu.header["DATE-OBS"] = "2025-09-10T03:00:00"
    hdu.header["EXPTIME"] = 60.0
    hdu.header["FILTER"] = "r"
    hdu.header["OBJECT"] = "field-1"
    hdu.header.update(cards)
    hdu.add_checksum(when="fixed")
    stream = io.BytesIO()
    hdu.writeto(stream)
    return stream.getvalue()


def options(server: ArchiveServer, cache: Path, **changes: Any) -> ArchiveOptions:
    """Options for a local archive, impatient and quick."""
    given: dict[str, Any] = {
        "allowed_hosts": [server.host],
        "allow_private": True,
        "rate_per_s": 1000,
        "timeout_s": 5.0,
        "longest_wait_s": 0.02,
        "min_free_gib": 0,
        "cache_dir": cache,
    }
    return ArchiveOptions.model_validate(given | changes)


NIGHT = dt.date(2025, 9, 10)
