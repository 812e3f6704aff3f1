"""Correlated noise: how the noise of a resampled image is distributed over frequencies.

White noise of variance v has the power spectrum W(k) = v. Resampling (a warp, a drizzled
mosaic) correlates neighbouring pixels: W(k) = v · ρ̂(k), where ρ is the noise's
autocovariance in units of v. What a warp does to noise is known from its kernel and
comes with the warped reference; what a mosaic's making did must be measured, here.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

F64 = NDArray[np.float64]

MIN_BLANK_PIXELS = 4096
"""Pairs of blank pixels needed to measure an autocorrelation to 2 %."""


def autocorrelation_of_blank_sky(
    data: NDArray[np.float32], usable: NDArray[np.bool_], max_lag_pix: int = 4
) -> F64 | None:
    """Autocorrelation of the noise measured on blank sky.

    For mosaics that were delivered resampled. Never for crowded fields: confusion has
    the PSF's shape and would be taken for noise.

    Parameters
    ----------
    data
        (ny, nx) background-subtracted image.
    usable
        True on blank sky: no source, no masked pixel.
    max_lag_pix
        Largest lag measured; the estimate is tapered to zero beyond it.

    Returns
    -------
    (2·max_lag + 1)² float64, 1 at the centre, or None where fewer than
    ``MIN_BLANK_PIXELS`` blank pixels exist.

    Notes
    -----
    Equals ``Σ d(p) d(p + lag) u(p) u(p + lag) / Σ u(p) u(p + lag)`` over blank pixels u,
    normalised at lag 0.
    """
    if int(usable.sum()) < MIN_BLANK_PIXELS:
        return None
    blank = np.where(usable, data - np.median(data[usable]), 0).astype(np.float64)
    ny, nx = (next_fast_len(side + max_lag_pix, real=True) for side in data.shape)
    products = irfft2(np.abs(rfft2(blank, (ny, nx))) ** 2, (ny, nx))
    pairs = irfft2(np.abs(rfft2(usable.astype(np.float64), (ny, nx))) ** 2, (ny, nx))
    lags = np.arange(-max_lag_pix, max_lag_pix + 1)
    grid = np.ix_(lags, lags)
    covariance = products[grid] / np.maximum(pairs[grid], 1.0)
    # A cosine taper keeps the spectrum from ringing where the measured lags end.
    taper = np.cos(0.5 * np.pi * lags / (max_lag_pix + 1)) ** 2
    stamp = covariance / covariance[max_lag_pix, max_lag_pix] * np.outer(taper, taper)
    return np.asarray(0.5 * (stamp + stamp[::-1, ::-1]))
