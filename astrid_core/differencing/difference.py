"""The difference image: what subtraction hands on, and its FITS form."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from astrid_core.differencing.transform import Polynomial
from astrid_core.errors import BadFitsError
from astrid_core.flags import PixelFlag
from astrid_core.frame import (
    FrameMeta,
    image_hdu,
    meta_header,
    native,
    open_hdus,
    psf_hdu,
    read_meta,
    read_psf,
    read_wcs,
    write_hdus,
)
from astrid_core.psf import Psf

F32 = NDArray[np.float32]
U16 = NDArray[np.uint16]


@dataclass(frozen=True)
class DifferenceQuality:
    """Measured quality of a difference image: the columns of its run row.

    Attributes
    ----------
    scorr_sigma
        Robust σ of S_corr over usable pixels, raw. S_corr is never divided by it.
    flux_ratio
        Science flux over reference flux of the same star.
    n_matched
        Stars matched in registration.
    registration_rms_pix
        Rms of matched stars after registration, pixels.
    overlap_fraction
        Fraction of the science frame that the reference covers.
    masked_fraction
        Fraction of that area where D is unusable.
    fwhm_pix
        FWHM of the PSF of D.
    depth_flux
        Flux of a 5 σ point source on blank sky, science flux units.
    """

    scorr_sigma: float
    flux_ratio: float
    n_matched: int
    registration_rms_pix: float
    overlap_fraction: float
    masked_fraction: float
    fwhm_pix: float
    depth_flux: float


@dataclass(frozen=True)
class DifferenceImage:
    """ZOGY's D and S_corr on the science grid.

    Attributes
    ----------
    difference
        (ny, nx) float32, D in science flux units: a source that brightened by flux f
        appears as f times ``psf``. 0 where there is no data.
    scorr
        (ny, nx) float32, significance of a point source at each pixel, signed. 0 where
        there is no data.
    variance
        (ny, nx) float32, variance of D per pixel if nothing changed (sky, read noise,
        predicted photon noise of sources, registration error), averaged over the PSF.
        Positive everywhere.
    mask
        (ny, nx) uint16 pixel flags of science and reference, grown by the core of the
        kernels: where S_corr must not be searched.
    psf
        PSF of D.
    reference
        (ny, nx) float32, the reference as it was subtracted: warped onto the science
        grid, on its flux scale and background. 0 where there is no data.
    meta
        The science frame's.
    wcs
        The science frame's, made to agree with the reference's where both have one, so
        that a source has one position in all epochs of a reference.
    degraded_because
        Quality limits missed, in words; empty for a good difference image.
    to_reference
        Science pixels → pixels of the reference as it was before it was warped; None
        where no registration was asked for.
    """

    difference: F32
    scorr: F32
    variance: F32
    mask: U16
    psf: Psf
    reference: F32
    meta: FrameMeta
    wcs: WCS | None
    quality: DifferenceQuality
    degraded_because: tuple[str, ...] = ()
    to_reference: Polynomial | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        ny, nx = self.difference.shape
        return ny, nx

    def scorr_without(self, flags: PixelFlag) -> F32:
        """S_corr (ny, nx) float32 with 0 at pixels that have any of the flags."""
        return np.where(self.mask & np.uint16(flags), np.float32(0), self.scorr)

    def reference_position(self, x_pix: float, y_pix: float) -> tuple[float | None, float | None]:
        """Pixel of the reference at a science pixel, 0-based; (None, None) where unknown."""
        if self.to_reference is None:
            return None, None
        x, y = self.to_reference(np.array(x_pix), np.array(y_pix))
        return float(x), float(y)


_QUALITY_CARDS = {
    "scorr_sigma": "SCORRSIG",
    "flux_ratio": "FLXRATIO",
    "n_matched": "NMATCHED",
    "registration_rms_pix": "REGRMS",
    "overlap_fraction": "OVERLAP",
    "masked_fraction": "MASKFRAC",
    "fwhm_pix": "DFWHM",
    "depth_flux": "DEPTHFLX",
}
_REASON_CARD = "DEGRAD"
_MAP = "TOREF"


def write_difference(
    difference: DifferenceImage, path: Path, provenance: dict[str, str] | None = None
) -> None:
    """Write a difference image as FITS whose bytes depend on nothing but its content.

    Parameters
    ----------
    provenance
        Extra primary cards (keyword of up to 8 characters → text), such as the run id.
    """
    header = meta_header(difference.meta, provenance)
    for name, value in asdict(difference.quality).items():
        header[_QUALITY_CARDS[name]] = value
    for index, reason in enumerate(difference.degraded_because):
        header[f"{_REASON_CARD}{index}"] = reason
    hdus = fits.HDUList(
        [
            fits.PrimaryHDU(header=header),
            image_hdu("DIFF", difference.difference, difference.wcs, BUNIT=difference.meta.unit),
            image_hdu("SCORR", difference.scorr, difference.wcs),
            image_hdu("VAR", difference.variance),
            image_hdu("MASK", difference.mask),
            image_hdu("REF", difference.reference, BUNIT=difference.meta.unit),
            psf_hdu(difference.psf),
        ]
    )
    if difference.to_reference is not None:
        hdus.append(_map_hdu(difference.to_reference))
    write_hdus(hdus, path)


def read_difference(path: Path, *, is_verified: bool = False) -> DifferenceImage:
    """Read a difference image written by :func:`write_difference`.

    Parameters
    ----------
    is_verified
        Whether its bytes were compared with their SHA-256: its own checksums prove no more.

    Raises
    ------
    BadFitsError
        If the file is not one or a checksum does not hold.
    """
    with open_hdus(path, is_verified=is_verified) as hdus:
        if "SCORR" not in hdus:
            raise BadFitsError(
                f"{path} holds no difference image",
                remedy="Re-materialize the partition that wrote it.",
            )
        header = hdus[0].header
        quality = {
            field.name: field.type(header[_QUALITY_CARDS[field.name]])  # type: ignore[operator]
            for field in fields(DifferenceQuality)
        }
        return DifferenceImage(
            difference=native(hdus["DIFF"].data, np.float32),
            scorr=native(hdus["SCORR"].data, np.float32),
            variance=native(hdus["VAR"].data, np.float32),
            mask=native(hdus["MASK"].data, np.uint16),
            psf=read_psf(hdus["PSF"]),
            reference=native(hdus["REF"].data, np.float32),
            meta=read_meta(header),
            wcs=read_wcs(hdus["DIFF"].header),
            quality=DifferenceQuality(**quality),
            degraded_because=_reasons(header),
            to_reference=_read_map(hdus[_MAP]) if _MAP in hdus else None,
        )


def _map_hdu(mapping: Polynomial) -> fits.ImageHDU:
    """A polynomial map as an image HDU of shape (2, n_terms) float64."""
    cards = {"CENTREX": mapping.centre[0], "CENTREY": mapping.centre[1], "SCALE": mapping.scale}
    return image_hdu(_MAP, mapping.terms, ORDER=mapping.order, **cards)


def _read_map(hdu: fits.ImageHDU) -> Polynomial:
    header = hdu.header
    return Polynomial(
        terms=native(hdu.data, np.float64),
        order=int(header["ORDER"]),
        centre=(float(header["CENTREX"]), float(header["CENTREY"])),
        scale=float(header["SCALE"]),
    )


def _reasons(header: fits.Header) -> tuple[str, ...]:
    """Reasons of degradation, in the order they were written."""
    count = sum(1 for keyword in header if keyword.startswith(_REASON_CARD))
    return tuple(str(header[f"{_REASON_CARD}{index}"]) for index in range(count))
