"""Windows of samples: as the network is taught them, and as it judges them. No torch here."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from astrid_core.detection.augment import Windows, augmented, window
from astrid_core.detection.discs import disc_radius
from astrid_core.errors import DatasetQualityError
from astrid_core.training.samples import IGNORED, NETWORK_PLANES, SIDE_PIX, SampleRecord, Samples
from astrid_core.training.stored import SampleSet

F64 = NDArray[np.float64]

WINDOW_PIX = 64
MARGIN_PIX = (SIDE_PIX - WINDOW_PIX) // 2
_INJECTION_SHARE = 0.3
"""Of the windows on real changes, where there are injections: help, not the lesson itself."""
_REAL = 1


class SampleSampler:
    """Draws augmented windows: half on real samples, half on bogus ones."""

    def __init__(self, samples: SampleSet, jitter_pix: int, *, use_injections: bool) -> None:
        self._samples = samples
        self._jitter = jitter_pix
        kinds = [(r.is_real, r.label_source == "injection") for r in samples.records]
        self._real = np.flatnonzero([kind == (True, False) for kind in kinds])
        self._bogus = np.flatnonzero([not real for real, _ in kinds])
        self._injected = np.flatnonzero([use_injections and kind == (True, True) for kind in kinds])
        if not len(self._real) or not len(self._bogus):
            raise DatasetQualityError(
                f"The train split holds {len(self._real)} real and {len(self._bogus)} bogus "
                "samples: there is nothing to tell apart.",
                remedy="Have more detections judged, real and bogus, and collect again.",
            )

    def draw(self, n: int, rng: np.random.Generator) -> Windows:
        """``n`` windows, each with its own flip, rotation, offset and exchange of roles."""
        chosen = self._samples.take([self._draw_index(rng) for _ in range(n)])
        parts = []
        for index in range(n):
            offset = rng.integers(-self._jitter, self._jitter + 1, 2)
            cut = _cut(chosen, index, int(offset[0]), int(offset[1]))
            parts.append(augmented(*cut, rng))
        planes, labels, sources = (np.stack(part) for part in zip(*parts, strict=True))
        return Windows(planes, labels, sources)

    def _draw_index(self, rng: np.random.Generator) -> int:
        pool = self._bogus
        if rng.random() < 0.5:
            pool = self._real
            if len(self._injected) and rng.random() < _INJECTION_SHARE:
                pool = self._injected
        return int(pool[rng.integers(len(pool))])


def centred(samples: Samples) -> Windows:
    """The windows (n, …) in the middle of samples, as inference cuts them."""
    parts = [_cut(samples, index, 0, 0) for index in range(len(samples))]
    planes, labels, sources = (np.stack(part) for part in zip(*parts, strict=True))
    return Windows(planes, labels, sources)


def batches(samples: SampleSet, size: int) -> Iterator[Samples]:
    """All samples in order, ``size`` of them in memory at a time."""
    for start in range(0, len(samples.records), size):
        yield samples.take(range(start, min(start + size, len(samples.records))))


def radii(records: Sequence[SampleRecord]) -> F64:
    """Radius (n,) of each sample's disc, pixels."""
    return np.array([disc_radius(float(r.metadata["fwhm_pix"])) for r in records])


def _cut(
    samples: Samples, index: int, dx: int, dy: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]:
    """Planes, labels and sources of a window moved by (dx, dy) from the sample's middle."""
    x0, y0 = MARGIN_PIX + dx, MARGIN_PIX + dy
    planes = window(samples.images[index][list(NETWORK_PLANES)], x0, y0, WINDOW_PIX, 0)
    labels = window(samples.masks[index], x0, y0, WINDOW_PIX, IGNORED)
    # What else is real in the window is a source too; other bogus ones pass for quiet sky,
    # which they are as far as the mask tells.
    own = _disc(samples.records[index], WINDOW_PIX // 2 - dx, WINDOW_PIX // 2 - dy)
    return planes, labels, own | (labels == _REAL)


def _disc(record: SampleRecord, x: int, y: int) -> NDArray[np.bool_]:
    """Disc of a sample whose nearest pixel lies at (x, y) of the window."""
    x_pix, y_pix = float(record.metadata["x_pix"]), float(record.metadata["y_pix"])
    grid = np.arange(WINDOW_PIX)
    dx = grid[None, :] - (x + x_pix - np.rint(x_pix))
    dy = grid[:, None] - (y + y_pix - np.rint(y_pix))
    return np.asarray(dx**2 + dy**2 <= disc_radius(float(record.metadata["fwhm_pix"])) ** 2)
