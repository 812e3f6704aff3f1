import numpy as np
import pytest

from astrid_core.errors import TooFewStarsError
from astrid_core.flags import PixelFlag
from astrid_core.frame import Frame
from astrid_core.preprocessing.catalogue import find_stars
from astrid_core.preprocessing.config import CatalogueConfig, PsfConfig
from astrid_core.preprocessing.psf import measure_psf, psf_order
from astrid_core.preprocessing.shapes import stamp_fwhm
from astrid_core.psf import Psf
from astrid_core.simulation.pair import PairConfig, simulate_pair


def measured(frame: Frame, config: PsfConfig | None = None) -> Psf:
    stars = find_stars(frame.data, frame.variance, frame.mask, CatalogueConfig())
    return measure_psf(frame.data, frame.variance, frame.mask, stars, config or PsfConfig())


def common(psf: Psf, size: int, x: float, y: float) -> np.ndarray:
    stamp = psf.at(x, y)
    margin = (stamp.shape[0] - size) // 2
    inner = stamp[margin : margin + size, margin : margin + size]
    return inner / inner.sum()


def worst_residual(found: Psf, truth: Psf) -> float:
    size = min(found.terms.shape[-1], truth.terms.shape[-1])
    ny, nx = truth.shape
    places = [(nx / 2, ny / 2), (40, 40), (nx - 40, 40), (40, ny - 40), (nx - 40, ny - 40)]
    return max(
        float(np.abs(common(found, size, x, y) - common(truth, size, x, y)).max())
        / float(common(truth, size, x, y).max())
        for x, y in places
    )


@pytest.mark.parametrize(
    "config",
    [
        PairConfig(seed=1, n_transients=0),
        PairConfig(seed=2, n_transients=0, fwhm_science_pix=2.5),
        PairConfig(seed=3, n_transients=0, fwhm_science_pix=4.5, n_stars=600),
        PairConfig(seed=4, n_transients=0, n_galaxies=150, n_stars=400),
        PairConfig(seed=5, n_transients=0, ellipticity_science=0.3),
    ],
    ids=["plain", "sharp", "crowded", "galaxies", "elongated"],
)
def test_fwhm_is_true_to_one_percent_with_thirty_stars(config: PairConfig) -> None:
    frame = simulate_pair(config).science
    psf = measured(frame)
    assert psf.n_stars >= 30
    assert psf.fwhm_pix == pytest.approx(stamp_fwhm(frame.psf.centre()), rel=0.01)
    assert worst_residual(psf, frame.psf) < 0.05
    assert not psf.is_fallback


def test_varying_psf_is_followed_over_the_frame() -> None:
    frame = simulate_pair(
        PairConfig(seed=6, n_transients=0, n_stars=500, psf_variation=0.06)
    ).science
    varying, constant = measured(frame), measured(frame, PsfConfig(max_order=0))
    assert varying.order == 2
    assert worst_residual(varying, frame.psf) < 0.06
    assert worst_residual(varying, frame.psf) < 0.6 * worst_residual(constant, frame.psf)


def test_few_stars_give_a_declared_fallback_true_to_five_percent() -> None:
    frame = simulate_pair(
        PairConfig(seed=7, n_transients=0, n_stars=25, shape=(256, 256), fwhm_science_pix=3.5)
    ).science
    psf = measured(frame)
    assert psf.is_fallback
    assert psf.order == 0
    assert psf.fwhm_pix == pytest.approx(stamp_fwhm(frame.psf.centre()), rel=0.05)


def test_no_stars_is_an_error_with_numbers() -> None:
    frame = simulate_pair(PairConfig(seed=8, n_transients=0, n_stars=0, shape=(128, 128))).science
    with pytest.raises(TooFewStarsError) as caught:
        measured(frame)
    assert caught.value.details["n_stars"] == 0
    assert caught.value.details["n_required"] == 2


def test_stars_under_the_mask_are_no_stars() -> None:
    frame = simulate_pair(PairConfig(seed=5)).science
    planes = frame.data, frame.variance, frame.mask
    stars = find_stars(*planes, CatalogueConfig(), frame.meta.source_gain)
    left = frame.mask.copy()
    left[:, : frame.shape[1] // 2] = PixelFlag.BAD
    half = measure_psf(frame.data, frame.variance, left, stars, PsfConfig())
    assert half.fwhm_pix == pytest.approx(measured(frame).fwhm_pix, rel=0.02)
    with pytest.raises(TooFewStarsError):
        measure_psf(
            frame.data, frame.variance, np.full_like(left, PixelFlag.BAD), stars, PsfConfig()
        )


def test_every_stamp_sums_to_one_and_is_centred() -> None:
    psf = measured(simulate_pair(PairConfig(seed=9, n_transients=0, n_stars=500)).science)
    for x, y in [(0.0, 0.0), (255.5, 255.5), (511.0, 30.0)]:
        stamp = psf.at(x, y)
        assert stamp.sum() == pytest.approx(1.0, abs=1e-5)
        assert np.unravel_index(stamp.argmax(), stamp.shape) == (stamp.shape[0] // 2,) * 2


def test_scale_of_the_data_does_not_matter() -> None:
    frame = simulate_pair(PairConfig(seed=10, n_transients=0, shape=(256, 256))).science
    stars = find_stars(frame.data, frame.variance, frame.mask, CatalogueConfig())
    tiny = np.float32(1e-6)
    small = find_stars(
        frame.data * tiny, frame.variance * tiny**2, frame.mask, CatalogueConfig(), 1e6
    )
    assert small["is_star"].sum() == stars["is_star"].sum()
    a = measure_psf(frame.data, frame.variance, frame.mask, stars, PsfConfig())
    b = measure_psf(
        frame.data * tiny, frame.variance * tiny**2, frame.mask, small, PsfConfig(), 1e6
    )
    assert b.fwhm_pix == pytest.approx(a.fwhm_pix, rel=1e-3)


@pytest.mark.parametrize(("n", "order"), [(8, 0), (15, 1), (29, 1), (30, 2), (500, 2)])
def test_order_grows_with_the_number_of_stars(n: int, order: int) -> None:
    assert psf_order(n, PsfConfig()) == order
