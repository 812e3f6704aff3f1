import numpy as np
import pytest
from scipy.spatial import cKDTree

from astrid_core.flags import PixelFlag
from astrid_core.frame import STAR_DTYPE
from astrid_core.preprocessing.catalogue import find_stars, star_locus, without_masked
from astrid_core.preprocessing.config import CatalogueConfig
from astrid_core.preprocessing.shapes import FWHM_PER_SIGMA, Moments, adaptive_moments
from astrid_core.simulation.pair import PairConfig, simulate_pair


def test_stars_are_where_they_are_with_their_flux() -> None:
    frame = simulate_pair(PairConfig(seed=1, n_transients=0)).science
    found = find_stars(frame.data, frame.variance, frame.mask, CatalogueConfig())
    assert found.dtype == STAR_DTYPE
    assert (np.diff(found["flux"]) <= 0).all()
    stars = found[found["is_star"] == 1]
    truth = cKDTree(np.column_stack([frame.stars["x_pix"], frame.stars["y_pix"]]))
    distance, index = truth.query(np.column_stack([stars["x_pix"], stars["y_pix"]]))
    assert len(stars) > 30
    assert np.median(distance) < 0.06
    ratio = stars["flux"] / frame.stars["flux"][index]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.03)


def test_galaxies_and_cosmic_rays_are_no_stars() -> None:
    frame = simulate_pair(
        PairConfig(seed=2, n_transients=0, n_galaxies=200, n_cosmic_rays=40, flag_artefacts=False)
    ).science
    found = find_stars(frame.data, frame.variance, frame.mask, CatalogueConfig())
    chosen = found[found["is_star"] == 1]
    point_like = cKDTree(np.column_stack([frame.stars["x_pix"], frame.stars["y_pix"]]))
    distance, _ = point_like.query(np.column_stack([chosen["x_pix"], chosen["y_pix"]]))
    assert len(chosen) > 20
    assert (distance > 1.5).mean() < 0.1


def test_unusable_pixels_are_not_measured() -> None:
    frame = simulate_pair(PairConfig(seed=3, n_transients=0, shape=(256, 256))).science
    mask = frame.mask.copy()
    mask[:, 100:110] |= np.uint16(PixelFlag.BAD)
    data = frame.data.copy()
    data[:, 100:110] = np.nan
    found = find_stars(data, frame.variance, mask, CatalogueConfig())
    stars = found[found["is_star"] == 1]
    assert np.isfinite(found["flux"]).all()
    assert not ((stars["x_pix"] > 98) & (stars["x_pix"] < 111)).any()


def test_an_empty_frame_has_an_empty_catalogue() -> None:
    blank = np.zeros((64, 64), dtype=np.float32)
    found = find_stars(blank, blank + 1, np.zeros((64, 64), np.uint16), CatalogueConfig())
    assert len(found) == 0
    assert found.dtype == STAR_DTYPE


def test_sources_masked_later_leave_the_catalogue() -> None:
    frame = simulate_pair(PairConfig(seed=4, n_transients=0, shape=(256, 256))).science
    found = find_stars(frame.data, frame.variance, frame.mask, CatalogueConfig())
    star = found[found["is_star"] == 1][0]
    mask = frame.mask.copy()
    mask[round(star["y_pix"]), round(star["x_pix"])] |= np.uint16(PixelFlag.COSMIC)
    mask_near = frame.mask.copy()
    mask_near[round(star["y_pix"]), round(star["x_pix"]) + 2] |= np.uint16(PixelFlag.COSMIC)
    assert len(without_masked(found, mask)) == len(found) - 1
    near = without_masked(found, mask_near)
    assert len(near) == len(found)
    assert near["is_star"].sum() < found["is_star"].sum()


def test_locus_prefers_few_alike_stars_to_many_different_galaxies() -> None:
    rng = np.random.default_rng(5)
    stars, galaxies = 8, 60
    moments = Moments(
        dx_pix=np.zeros(68),
        dy_pix=np.zeros(68),
        fwhm_pix=np.r_[rng.normal(2.5, 0.08, stars), rng.uniform(4.5, 12, galaxies)],
        e1=np.r_[rng.normal(0.05, 0.02, stars), rng.normal(0, 0.3, galaxies)],
        e2=np.r_[rng.normal(0.0, 0.02, stars), rng.normal(0, 0.3, galaxies)],
    )
    locus = star_locus(moments, np.ones(68, dtype=bool))
    assert locus is not None
    assert locus.fwhm_pix == pytest.approx(2.5, rel=0.05)
    assert star_locus(moments, np.zeros(68, dtype=bool)) is None


@pytest.mark.parametrize(("a", "b", "angle"), [(2.0, 2.0, 0.0), (2.5, 1.5, 0.6), (1.2, 1.0, 1.2)])
def test_adaptive_moments_are_exact_for_gaussians(a: float, b: float, angle: float) -> None:
    y, x = np.mgrid[-12:13, -12:13].astype(float)
    dx, dy = x - 0.3, y + 0.2
    along = dx * np.cos(angle) + dy * np.sin(angle)
    across = -dx * np.sin(angle) + dy * np.cos(angle)
    stamp = np.exp(-0.5 * ((along / a) ** 2 + (across / b) ** 2))
    moments = adaptive_moments(np.stack([stamp, 5 * stamp]), 4.0)
    assert moments.dx_pix == pytest.approx([0.3, 0.3], abs=0.01)
    assert moments.dy_pix == pytest.approx([-0.2, -0.2], abs=0.01)
    assert moments.fwhm_pix == pytest.approx([FWHM_PER_SIGMA * np.sqrt(a * b)] * 2, rel=0.01)
    assert moments.ellipticity == pytest.approx([1 - b / a] * 2, abs=0.01)
