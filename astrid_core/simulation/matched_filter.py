"""The noise of the optimal difference filter: what S/N_true means, everywhere.

Zackay, Ofek & Gal-Yam (2016), eq. 13: with science PSF P_n, reference PSF P_r and sky
variances σ_n², σ_r² (reference scaled to the science frame's flux), the score image is

    S = (conj(P_n) |P_r|² N − conj(P_r) |P_n|² R) / (σ_r² |P_n|² + σ_n² |P_r|²).

Divided by its response to a unit point source it is a flux estimate Σ k_n N − Σ k_r R whose
variance Σ k_n² V_n + Σ k_r² V_r, sources' own photons included, defines S/N_true.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class MatchedFilter:
    """Filter that estimates the flux of a change at the centre of its kernels.

    Attributes
    ----------
    science, reference
        (n, n) kernels k_n and k_r, n odd, per pixel of the science grid; ``reference`` is
        zero for a noiseless reference.
    background_variance
        Variance of the estimate from sky and read noise of both frames, flux².
    own_science, own_reference
        Variance per electron-flux of the source's own photons when it is present in the
        science frame (it brightened) or in the reference (it faded).
    reference_photon_factor
        See :func:`matched_filter`.
    """

    science: F64
    reference: F64
    background_variance: float
    own_science: float
    own_reference: float
    reference_photon_factor: float

    def snr(self, flux: float, source_gain: float = 1.0, light_variance: float = 0.0) -> float:
        """S/N_true of a change: |flux| over the filter's noise with its own photons.

        Parameters
        ----------
        flux
            Change of flux in the science frame's unit; negative where the source faded.
        source_gain
            Electrons per unit; 0 where photon noise cannot be known.
        light_variance
            Variance from steady light at the position, see :meth:`light_variance`.
        """
        own = self._own(flux < 0, source_gain)
        variance = self.background_variance + light_variance + own * abs(flux)
        return float(abs(flux) / np.sqrt(variance))

    def flux_for_snr(
        self,
        snr: float,
        *,
        is_negative: bool = False,
        source_gain: float = 1.0,
        light_variance: float = 0.0,
    ) -> float:
        """Absolute flux whose :meth:`snr` is ``snr``: the root of F² − s²·b·F − s²·a = 0."""
        a = self.background_variance + light_variance
        b = self._own(is_negative, source_gain)
        return float(0.5 * (snr**2 * b + np.sqrt(snr**4 * b**2 + 4 * snr**2 * a)))

    def light_variance(
        self, science_light: F64, reference_light: F64 | None, source_gain: float = 1.0
    ) -> float:
        """Variance of the estimate from the photons of steady light around the position.

        Parameters
        ----------
        science_light, reference_light
            (n, n) expected light without sky around the position, in the science frame's
            flux unit.
        """
        if source_gain <= 0:
            return 0.0
        total = float((self.science**2 * science_light).sum())
        if reference_light is not None:
            total += self.reference_photon_factor * float(
                (self.reference**2 * reference_light).sum()
            )
        return max(total, 0.0) / source_gain

    def _own(self, is_negative: bool, source_gain: float) -> float:
        if source_gain <= 0:
            return 0.0
        return (self.own_reference if is_negative else self.own_science) / source_gain


def matched_filter(
    science_psf: NDArray[np.floating],
    science_variance: float,
    reference_psf: NDArray[np.floating] | None = None,
    reference_variance: float = 0.0,
    reference_photon_factor: float = 1.0,
) -> MatchedFilter:
    """Optimal filter for a change between two frames.

    Parameters
    ----------
    science_psf, reference_psf
        Odd square stamps of sum 1 on the science grid; without a reference PSF the
        reference is taken as noiseless.
    science_variance, reference_variance
        Sky variance per science pixel, the reference scaled to the science frame's flux.
    reference_photon_factor
        Variance of the scaled reference per unit of its scaled light, in units of the
        science frame's (the flux ratio, for two single exposures in electrons).
    """
    size = max(science_psf.shape[0], 0 if reference_psf is None else reference_psf.shape[0])
    n = fft.next_fast_len(2 * size + 1, real=True)
    p_n = fft.rfft2(_centred(science_psf, n))
    p_r = np.ones_like(p_n) if reference_psf is None else fft.rfft2(_centred(reference_psf, n))
    v_r = 0.0 if reference_psf is None else reference_variance
    power_n, power_r = np.abs(p_n) ** 2, np.abs(p_r) ** 2
    weight = 1.0 / (v_r * power_n + science_variance * power_r)
    response = fft.irfft2(power_n * power_r * weight, s=(n, n))[0, 0]
    k_n = _kernel(np.conj(p_n) * power_r * weight, n, size) / response
    k_r = np.zeros_like(k_n)
    own_reference = 0.0
    if reference_psf is not None:
        k_r = _kernel(np.conj(p_r) * power_n * weight, n, size) / response
        own_reference = reference_photon_factor * _own_variance(k_r, reference_psf)
    return MatchedFilter(
        science=k_n,
        reference=k_r,
        background_variance=float(1.0 / response),
        own_science=_own_variance(k_n, science_psf),
        own_reference=own_reference,
        reference_photon_factor=reference_photon_factor,
    )


def _own_variance(kernel: F64, psf: NDArray[np.floating]) -> float:
    """Σ k² P over the pixels both stamps share."""
    inset = (kernel.shape[0] - psf.shape[0]) // 2
    middle = kernel[inset : inset + psf.shape[0], inset : inset + psf.shape[0]]
    return float((middle**2 * psf).sum())


def _centred(stamp: NDArray[np.floating], n: int) -> F64:
    """Stamp zero-padded to (n, n) with its centre at [0, 0]."""
    half = stamp.shape[0] // 2
    padded = np.zeros((n, n))
    padded[: stamp.shape[0], : stamp.shape[1]] = stamp
    return np.roll(padded, (-half, -half), axis=(0, 1))


def _kernel(transform: NDArray[np.complexfloating], n: int, size: int) -> F64:
    """Correlation kernel of a filter's transform, centred in a (size, size) stamp."""
    image = fft.irfft2(np.conj(transform), s=(n, n))
    half = size // 2
    return np.asarray(np.roll(image, (half, half), axis=(0, 1))[:size, :size])
