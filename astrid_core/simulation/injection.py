"""Planting point sources in real or simulated science frames, before subtraction.

Injections measure what the pipeline finds; they are never labels.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from astrid_core.flags import UNUSABLE, PixelFlag
from astrid_core.frame import Frame
from astrid_core.simulation.matched_filter import MatchedFilter, matched_filter
from astrid_core.simulation.stamps import add_stamp, cut_stamp

F64 = NDArray[np.float64]

INJECTION_DTYPE = np.dtype([("x_pix", "f8"), ("y_pix", "f8"), ("flux", "f8"), ("snr_true", "f8")])
"""One planned source: 0-based position, flux in the frame's unit, S/N_true."""

SPACING_PIX = 34.0
"""Least distance between injections: far enough that none sees its neighbour's filter."""


def plan_injections(
    science: Frame,
    rng: np.random.Generator,
    *,
    reference: Frame | None = None,
    flux_ratio: float = 1.0,
    snr_range: tuple[float, float] = (3.0, 50.0),
    spacing_pix: float = SPACING_PIX,
    margin_pix: float = 20.0,
    preferred: F64 | None = None,
) -> NDArray[Any]:
    """Choose where and how bright to inject: a jittered grid, log-uniform in S/N_true.

    Parameters
    ----------
    science
        Frame to inject into.
    reference
        Frame that will be subtracted, whose noise and PSF enter S/N_true; without one the
        reference counts as noiseless.
    flux_ratio
        Science units per reference unit of the same source.
    snr_range, spacing_pix, margin_pix
        Range of S/N_true, least separation, least distance from the frame's edge.
    preferred
        (n, 2) x, y to inject at as far as the separation allows, the first ones first
        (hosts, say); the grid fills the rest of the frame.

    Returns
    -------
    Array of ``INJECTION_DTYPE``; positions with unusable pixels within one FWHM are left out.
    """
    x, y = _jittered_grid(science.shape, spacing_pix, margin_pix, rng)
    if preferred is not None and len(preferred):
        x, y = _around(preferred, x, y, science.shape, spacing_pix, margin_pix)
    snr = np.exp(rng.uniform(np.log(snr_range[0]), np.log(snr_range[1]), len(x)))
    free = _is_usable(science, x, y)
    plan = np.zeros(int(free.sum()), dtype=INJECTION_DTYPE)
    plan["x_pix"], plan["y_pix"], plan["snr_true"] = x[free], y[free], snr[free]
    noise = _typical_variance(reference)
    for row in plan:
        filt, light = _filter_at(science, row["x_pix"], row["y_pix"], reference, noise, flux_ratio)
        row["flux"] = filt.flux_for_snr(
            row["snr_true"], source_gain=science.meta.source_gain, light_variance=light
        )
    return plan


def matched_filter_snr(
    science: Frame,
    x_pix: float,
    y_pix: float,
    flux: float,
    *,
    reference: Frame | None = None,
    flux_ratio: float = 1.0,
) -> float:
    """S/N_true of a source of ``flux`` at a position: over the matched filter's noise.

    The noise holds sky and read noise of both frames, the photons of the light already
    there and the source's own. See :func:`plan_injections` for the parameters.
    """
    noise = _typical_variance(reference)
    filt, light = _filter_at(science, x_pix, y_pix, reference, noise, flux_ratio)
    return filt.snr(flux, science.meta.source_gain, light)


def inject_sources(
    frame: Frame, x_pix: F64, y_pix: F64, flux: F64, rng: np.random.Generator
) -> Frame:
    """Add point sources with the frame's own PSF and their photon noise.

    Parameters
    ----------
    x_pix, y_pix, flux
        (n,) 0-based positions and fluxes ≥ 0 in the frame's unit.
    rng
        Photon noise; none is added where ``source_gain`` is 0, because it cannot be known.

    Returns
    -------
    A new frame; pixels lifted to saturation are clipped and flagged.
    """
    if np.any(np.asarray(flux) < 0):
        raise ValueError("injected fluxes must be ≥ 0; inject into the reference to fade a source")
    light = np.zeros(frame.shape)
    for x, y, brightness in zip(x_pix, y_pix, flux, strict=True):
        stamp = brightness * shifted(frame.psf.at(x, y), x - round(x), y - round(y))
        add_stamp(light, np.maximum(stamp, 0.0), round(x), round(y))
    gain = frame.meta.source_gain
    if gain > 0:
        lit = light > 0
        light[lit] = rng.poisson(light[lit] * gain) / gain
    data = (frame.data + light).astype(np.float32)
    mask = frame.mask
    if frame.meta.saturation is not None:
        ceiling = frame.meta.saturation - frame.sky
        full = (data >= ceiling) & (light > 0)
        data = np.where(full, np.float32(ceiling), data)
        mask = np.where(full, mask | np.uint16(PixelFlag.SATURATED), mask)
    return replace(frame, data=data, mask=mask)


def shifted(stamp: NDArray[np.floating], dx: float, dy: float) -> F64:
    """PSF stamp moved by a fraction of a pixel: an exact shift in Fourier space."""
    n = fft.next_fast_len(stamp.shape[0] + 8, real=True)
    pad = (n - stamp.shape[0]) // 2
    padded = np.zeros((n, n))
    padded[pad : pad + stamp.shape[0], pad : pad + stamp.shape[1]] = stamp
    ky, kx = fft.fftfreq(n)[:, None], fft.rfftfreq(n)[None, :]
    moved = fft.irfft2(fft.rfft2(padded) * np.exp(-2j * np.pi * (kx * dx + ky * dy)), s=(n, n))
    return np.asarray(moved[pad : pad + stamp.shape[0], pad : pad + stamp.shape[1]])


def _typical_variance(reference: Frame | None) -> float:
    """Median variance of a reference; 0 for none, which counts as noiseless."""
    return 0.0 if reference is None else float(np.median(reference.variance))


def _filter_at(
    science: Frame,
    x: float,
    y: float,
    reference: Frame | None,
    reference_variance: float,
    flux_ratio: float,
) -> tuple[MatchedFilter, float]:
    """Optimal filter at a position and the variance that the light there adds to it."""
    column, row = round(x), round(y)
    gain = science.meta.source_gain
    variance = float(science.variance[row, column])
    if reference is None:
        filt = matched_filter(science.psf.at(x, y), variance)
    else:
        reference_gain = reference.meta.source_gain
        filt = matched_filter(
            science.psf.at(x, y),
            variance,
            reference.psf.centre(),
            flux_ratio**2 * reference_variance,
            flux_ratio * gain / reference_gain if reference_gain > 0 else 0.0,
        )
    light = np.nan_to_num(cut_stamp(science.data, column, row, filt.science.shape[0] // 2))
    return filt, filt.light_variance(light, None if reference is None else light, gain)


def _jittered_grid(
    shape: tuple[int, int], spacing: float, margin: float, rng: np.random.Generator
) -> tuple[F64, F64]:
    """Grid of 1.25 spacings, jittered so that no two come closer than one spacing."""
    cell = 1.25 * spacing
    axes = [np.arange(margin + cell / 8, n - 1 - margin - cell / 8, cell) for n in shape[::-1]]
    grid_x, grid_y = (axis.ravel() for axis in np.meshgrid(*axes))
    jitter = rng.uniform(-0.125 * spacing, 0.125 * spacing, (2, len(grid_x)))
    return grid_x + jitter[0], grid_y + jitter[1]


def _around(
    preferred: F64, x: F64, y: F64, shape: tuple[int, int], spacing: float, margin: float
) -> tuple[F64, F64]:
    """Preferred positions that keep their distance, then what of a grid keeps its from them."""
    ny, nx = shape
    taken: list[F64] = []
    for position in preferred:
        inside = (
            margin <= position[0] <= nx - 1 - margin and margin <= position[1] <= ny - 1 - margin
        )
        if inside and all(np.hypot(*(position - other)) >= spacing for other in taken):
            taken.append(position)
    kept = [
        point
        for point in np.column_stack([x, y])
        if all(np.hypot(*(point - other)) >= spacing for other in taken)
    ]
    both = np.array([*taken, *kept]).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _is_usable(frame: Frame, x: F64, y: F64) -> NDArray[np.bool_]:
    """No unusable pixel within one FWHM."""
    radius = int(np.ceil(frame.psf.fwhm_pix))
    bad = (frame.mask & np.uint16(UNUSABLE | PixelFlag.EDGE)) != 0
    return np.array(
        [
            not cut_stamp(bad, round(cx), round(cy), radius).any()
            for cx, cy in zip(x, y, strict=True)
        ],
        dtype=bool,
    )
