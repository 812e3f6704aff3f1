"""References: ranking with reasons, and coadds in which what only one frame saw is gone."""

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from registration_frames import exposure, paint, random_stars, real_frame

from astrid_core.differencing import coadd as coadding
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.ranking import MemberQuality, rank_members
from astrid_core.differencing.references import build_reference, point_source_depth
from astrid_core.differencing.registration_config import ReferenceConfig
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.errors import NoReferenceError
from astrid_core.flags import PixelFlag

CONFIG = ReferenceConfig()


def quality(number: int, **changes) -> MemberQuality:
    values = {
        "id": UUID(int=number),
        "fwhm_pix": 3.0,
        "depth_flux": 100.0 + number,
        "ellipticity": 0.1,
        "masked_fraction": 0.01,
    }
    return MemberQuality(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fwhm_pix": 6.0}, "FWHM 6.0 px, median 3.0 px"),
        ({"depth_flux": 900.0}, "depth 900, median"),
        ({"ellipticity": 0.7}, "ellipticity 0.70, limit 0.50"),
        ({"masked_fraction": 0.5}, "50% masked, limit 30%"),
        ({"fwhm_pix": None}, "could not be measured"),
        ({"is_degraded": True}, "degraded"),
    ],
)
def test_each_rejection_says_why(changes, reason):
    ranked = rank_members([quality(1), quality(2), quality(3), quality(4, **changes)], CONFIG)
    assert [member.rejected_because for member in ranked[:3]] == [None] * 3
    assert ranked[3].id == UUID(int=4)
    assert reason in ranked[3].rejected_because


def test_deepest_first_and_no_more_than_asked():
    config = ReferenceConfig(max_members=2)
    ranked = rank_members([quality(3), quality(1), quality(2)], config)
    assert [member.id.int for member in ranked] == [1, 2, 3]
    assert [member.rank for member in ranked] == [0, 1, 2]
    assert "only the best 2" in ranked[2].rejected_because
    single = rank_members([quality(3), quality(1)], ReferenceConfig(method="single"))
    assert single[1].rejected_because is not None


@given(st.permutations(range(1, 7)))
def test_order_of_frames_does_not_matter(order):
    expected = rank_members([quality(n) for n in range(1, 7)], CONFIG)
    assert rank_members([quality(n) for n in order], CONFIG) == expected


# --- coadds -------------------------------------------------------------------------------

SCENE = random_stars(11, 130, 350, faintest=6000.0)


def members(n: int, seeing=(2.8, 3.2, 3.6), transmission=(1.0, 0.8, 1.1)):
    """Dithered exposures of one scene in varying seeing and transparency."""
    dithers = [(0.0, 0.0), (3.4, -2.7), (-5.1, 1.3), (1.6, 6.2), (-2.2, -3.9)]
    return [
        exposure(
            (SCENE[0] + dithers[i % 5][0], SCENE[1] + dithers[i % 5][1], SCENE[2]),
            seed=20 + i,
            fwhm_pix=seeing[i % len(seeing)],
            transmission=transmission[i % len(transmission)],
        )
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def five():
    return members(5)


@pytest.fixture(scope="module")
def reference(five):
    return build_reference(five, CONFIG)


@pytest.fixture(scope="module")
def of_three(five):
    return build_reference(five[:3], CONFIG)


def test_coadd_is_deeper_by_its_members(five, reference):
    gain = point_source_depth(five[0]) / reference.depth_flux
    assert 1.6 < gain < np.sqrt(5)
    assert sum(member.weight for member in reference.members) == pytest.approx(1.0)
    assert all(member.rejected_because is None for member in reference.members)
    ratios = [member.flux_ratio for member in reference.members[1:]]
    np.testing.assert_allclose(ratios, [1 / 0.8, 1 / 1.1, 1.0, 1 / 0.8], rtol=0.02)


def test_coadd_noise_is_its_variance(reference):
    truth = paint((256, 256), *SCENE, 3.2)
    sky = (truth < 0.5)[20:-20, 20:-20]
    data = reference.frame.data[20:-20, 20:-20]
    blocks = np.where(sky, data, np.nan)[:216, :216].reshape(36, 6, 36, 6).swapaxes(1, 2)
    sums = blocks.reshape(36, 36, 36).mean(axis=2)  # 6 × 6 blocks wholly on sky
    whole = sums[np.isfinite(sums)]
    expected = np.median(reference.frame.variance) / 36
    assert 1.4826 * np.median(np.abs(whole - np.median(whole))) == pytest.approx(
        np.sqrt(expected), rel=0.2
    )


def test_coadd_keeps_the_flux_and_knows_its_gain(reference):
    x, y, flux = SCENE
    alone = [
        i
        for i in range(len(x))
        if flux[i] > 2e4
        and np.sort(np.hypot(x - x[i], y - y[i]))[1] > 14
        and 20 < x[i] < 236
        and 20 < y[i] < 236
    ]
    for i in alone:
        rows, columns = (slice(round(v) - 11, round(v) + 12) for v in (y[i], x[i]))
        total = reference.frame.data[rows, columns].sum()
        truth = paint((256, 256), *SCENE, 3.2)[rows, columns].sum()
        assert total == pytest.approx(truth, rel=0.03)
    assert reference.frame.meta.source_gain > 3.0
    assert reference.frame.meta.exposure_s == 300.0
    assert not reference.frame.psf.is_fallback
    assert 2.9 < reference.frame.psf.fwhm_pix < 3.8


def test_what_one_member_saw_does_not_survive(five, of_three):
    frames = list(five[:3])
    spoilt = frames[1].data.copy()
    spoilt += paint((256, 256), [123.4], [95.0], [6000.0], 3.2).astype(np.float32)  # transient
    spoilt[50, 60:64] += 5000.0  # cosmic ray
    spoilt[200, :] += 300.0  # trail
    frames[1] = replace(frames[1], data=spoilt)
    clean, dirty = of_three, build_reference(frames, CONFIG)
    noise = np.sqrt(clean.frame.variance)
    left = (dirty.frame.data - clean.frame.data) / noise
    assert np.abs(left).max() < 4
    x, y = 123.4 - 3.4, 95.0 + 2.7
    box = np.s_[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5]
    assert left[box].sum() / 9 < 3


def test_clipping_leaves_the_stars_alone(five, of_three):
    clipped = of_three.frame
    unclipped = build_reference(five[:3], CONFIG.model_copy(update={"clip_sigma": 1e6})).frame
    bright = clipped.stars[clipped.stars["flux"] > 5e3]
    x, y = bright["x_pix"], bright["y_pix"]
    stars = bright[(x > 12) & (x < 243) & (y > 12) & (y < 243)]
    assert len(stars) > 10
    for star in stars:
        rows = slice(max(0, round(star["y_pix"]) - 3), round(star["y_pix"]) + 4)
        columns = slice(max(0, round(star["x_pix"]) - 3), round(star["x_pix"]) + 4)
        assert clipped.data[rows, columns].sum() == pytest.approx(
            unclipped.data[rows, columns].sum(), rel=0.03
        )


def brightest(frame):
    """Position of the brightest star well inside a frame."""
    x, y = frame.stars["x_pix"], frame.stars["y_pix"]
    inside = frame.stars[(x > 40) & (x < 216) & (y > 40) & (y < 216)]
    star = inside[np.argmax(inside["flux"])]
    return round(float(star["x_pix"])), round(float(star["y_pix"]))


def with_bad_column(frame):
    """A frame whose brightest star has a bad column through its core."""
    x, _ = brightest(frame)
    mask = frame.mask.copy()
    mask[:, x] |= np.uint16(PixelFlag.BAD)
    return replace(frame, mask=mask)


def test_a_star_that_misses_its_sharpest_member_is_no_change(five, of_three, monkeypatch):
    x, y = brightest(five[0])
    core = slice(y - 4, y + 5), slice(x - 4, x + 5)
    science = exposure(SCENE, seed=99, fwhm_pix=3.1, transmission=0.9)
    spoilt = [with_bad_column(five[0]), *five[1:3]]
    trusted = build_reference(spoilt, CONFIG).frame
    found = subtract_frames(science, trusted, DifferenceConfig())
    assert np.abs(found.scorr[core]).max() < 5
    elsewhere = np.ones(trusted.data.shape, dtype=bool)
    elsewhere[:, x - 12 : x + 13] = False
    np.testing.assert_allclose(
        trusted.variance[elsewhere], of_three.frame.variance[elsewhere], rtol=0.01
    )
    monkeypatch.setattr(coadding, "_inexact_variance", lambda light, *_: np.zeros_like(light))
    blind = build_reference(spoilt, CONFIG).frame
    assert np.abs(subtract_frames(science, blind, DifferenceConfig()).scorr[core]).max() > 8


def test_two_members_lose_cosmic_rays_too(five):
    spoilt = five[0].data.copy()
    spoilt[150, 150] += 4000.0
    built = build_reference([replace(five[0], data=spoilt), five[1]], CONFIG)
    clean = build_reference(five[:2], CONFIG)
    assert abs(built.frame.data[150, 150] - clean.frame.data[150, 150]) < 80


def test_frames_are_loaded_one_at_a_time_and_let_go(five):
    alive = []

    def loader(index):
        def load():
            alive.append(index)
            return five[index]

        return load

    built = build_reference([loader(i) for i in range(2)], CONFIG)
    assert alive == [0, 1]
    assert len(built.members) == 2


def test_a_frame_of_another_sky_is_left_out_with_a_reason(five):
    stranger = exposure(random_stars(77, 130, 350, faintest=6000.0), seed=5)
    built = build_reference([five[0], stranger, five[1]], CONFIG)
    assert [member.rejected_because is None for member in built.members] == [True, False, True]
    assert "n_matched" in built.members[1].rejected_because
    assert built.members[1].weight == 0


def test_a_stranger_that_ranks_best_takes_the_field_from_no_other(five):
    stranger = exposure(random_stars(77, 130, 350, faintest=6000.0), seed=5)
    built = build_reference([stranger, five[0], five[1]], CONFIG)
    clean = build_reference(five[:2], CONFIG)
    assert [member.weight > 0 for member in built.members] == [False, True, True]
    assert "2 other frames of this field align" in built.members[0].rejected_because
    np.testing.assert_array_equal(built.frame.data, clean.frame.data)
    np.testing.assert_array_equal(built.frame.mask, clean.frame.mask)


def test_of_equally_common_skies_the_best_frame_decides(five):
    other = random_stars(77, 130, 350, faintest=6000.0)
    strangers = [exposure(other, seed=seed) for seed in (5, 6)]
    built = build_reference([five[0], *strangers, five[1]], CONFIG)
    assert [member.weight > 0 for member in built.members] == [True, False, False, True]


def test_refused_frames_leave_no_trace_on_the_one_that_is_left(five):
    stranger = exposure(random_stars(77, 130, 350, faintest=6000.0), seed=5)
    built = build_reference([five[0], stranger], CONFIG)
    assert built.frame is five[0]
    assert built.depth_flux == build_reference(five[:1], CONFIG).depth_flux
    assert [member.weight for member in built.members] == [1.0, 0.0]


def test_a_frame_that_hardly_overlaps_is_left_out(five):
    far = exposure((SCENE[0] + 160.0, SCENE[1] + 10.0, SCENE[2]), seed=33)
    built = build_reference([five[0], far], CONFIG)
    assert built.members[1].rejected_because is not None


def test_masked_only_where_too_few_contribute(five):
    frames = list(five[:3])
    for index, frame in enumerate(frames):
        mask = frame.mask.copy()
        mask[:, 100 + index] = PixelFlag.BAD  # another column in each
        mask[30, 30] = PixelFlag.SATURATED
        frames[index] = replace(frame, mask=mask)
    dithered = build_reference(frames, CONFIG).frame
    assert not dithered.mask[40:200, 96:110].any()
    unmoved = [frames[0]] * 2
    assert build_reference(unmoved, CONFIG).frame.mask[30, 30] & PixelFlag.SATURATED


def test_bands_of_rows_give_the_same_coadd(five, of_three, monkeypatch):
    monkeypatch.setattr(coadding, "_BAND_PIXELS", 1)
    again = build_reference(five[:3], CONFIG)
    np.testing.assert_allclose(again.frame.data, of_three.frame.data, atol=1e-4)
    np.testing.assert_array_equal(again.frame.mask, of_three.frame.mask)


def test_single_is_the_best_frame_itself(five):
    built = build_reference(five[:2], ReferenceConfig(method="single"))
    assert built.frame is five[0]
    assert built.members[1].rejected_because is not None


def test_no_frames_are_an_error():
    with pytest.raises(NoReferenceError):
        build_reference([], CONFIG)


@pytest.mark.real_data
def test_crowded_real_field_is_combined(real_data):
    folder = real_data / "kb13475-saao1m"
    frames = [
        real_frame(folder / f"AKB13475I{n}.fits", gain=1.9, saturation=60000, with_wcs=False)
        for n in ("0001", "0180")
    ]
    built = build_reference(frames, CONFIG)
    assert [member.rejected_because for member in built.members] == [None] * 2
    assert built.depth_flux < point_source_depth(frames[0])
