"""What is known to change in a reference, and what differences there are told of it."""

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from registration_frames import exposure, random_stars
from scipy.ndimage import label

from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.masking import with_changing
from astrid_core.differencing.references import build_reference
from astrid_core.differencing.registration_config import ReferenceConfig
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import extract_candidates
from astrid_core.extraction.forced import force_photometry
from astrid_core.flags import CandidateFlag, ForcedFlag, PixelFlag
from astrid_core.stages.reference import plan_references

SHAPE = (256, 256)
SCENE = random_stars(11, 130, 350, faintest=6000.0)
DITHERS = [(0.0, 0.0), (3.4, -2.7), (-5.1, 1.3), (1.6, 6.2), (-2.2, -3.9)]
CHANGING = int(PixelFlag.CHANGING)
CLEAR = 131.0, 172.0
"""Far from every star, and from the other place."""
ELSEWHERE = 60.0, 205.0


def member(i, extra=None):
    dx, dy = DITHERS[i]
    x, y, flux = SCENE
    if extra is not None:
        x, y, flux = (np.append(a, b) for a, b in zip(SCENE, extra, strict=True))
    fwhm = (2.8, 3.2, 3.6)[i % 3]
    return exposure((x + dx, y + dy, flux), seed=20 + i, fwhm_pix=fwhm)


def science(*places):
    x, y, flux = (np.append(a, b) for a, b in zip(SCENE, np.array(places).T, strict=True))
    return exposure((x, y, flux), seed=99, fwhm_pix=3.1)


def contaminated(frame, reference):
    """Candidates' and forced measurements' contamination at CLEAR and ELSEWHERE."""
    image = subtract_frames(frame, reference, DifferenceConfig())
    found = extract_candidates(image, frame, ExtractionConfig()).candidates
    by_candidate, by_force = [], []
    for x, y in (CLEAR, ELSEWHERE):
        one = min(found, key=lambda one: np.hypot(one.x_pix - x, one.y_pix - y))
        assert np.hypot(one.x_pix - x, one.y_pix - y) < 1.5
        by_candidate.append(bool(one.flags & CandidateFlag.TEMPLATE_CONTAMINATED))
        (forced,) = force_photometry(image, reference, np.array([x]), np.array([y]), 0.5)
        by_force.append(bool(forced.flags & ForcedFlag.TEMPLATE_CONTAMINATED))
    return by_candidate, by_force


def test_the_places_are_clear():
    for x, y in (CLEAR, ELSEWHERE):
        assert np.hypot(SCENE[0] - x, SCENE[1] - y).min() > 9


@pytest.mark.parametrize("flux", [2000.0, 6000.0])
def test_differences_where_a_members_transient_was_clipped_say_so(flux):
    frames = [member(0), member(1, (*CLEAR, flux)), *(member(i) for i in (2, 3, 4))]
    reference = build_reference(frames, ReferenceConfig()).frame
    frame = science((*CLEAR, 4000.0), (*ELSEWHERE, 4000.0))
    assert contaminated(frame, reference) == ([True, False], [True, False])
    y, x = np.nonzero(reference.mask & CHANGING)
    assert np.hypot(x - CLEAR[0], y - CLEAR[1]).max() < 2 * reference.psf.fwhm_pix


def test_quiet_stars_cosmic_rays_and_trails_are_no_changes():
    frames = [member(i) for i in range(5)]
    spoilt = frames[2].data.copy()
    spoilt[50, 60:64] += 5000.0
    spoilt[120, 40] += 900.0
    spoilt[200, :] += 300.0
    frames[2] = replace(frames[2], data=spoilt)
    mask = build_reference(frames, ReferenceConfig()).frame.mask
    regions, n_regions = label(mask & CHANGING)
    # The trail, which nobody masked, may pass for a source where it crosses a star.
    assert n_regions <= 3
    assert not regions[:190].any()
    assert not regions[210:].any()


def test_an_object_seen_on_members_marks_the_reference_it_goes_into():
    """A variable star: in every member, so that no clipping can tell."""
    fluxes = (3000.0, 4200.0, 5500.0, 3600.0, 4800.0)
    frames = [member(i, (*CLEAR, flux)) for i, flux in enumerate(fluxes)]
    unmarked = build_reference(frames, ReferenceConfig()).frame
    seen = [
        with_changing(frame, np.array([round(CLEAR[0] + dx)]), np.array([round(CLEAR[1] + dy)]))
        if i in (1, 3)
        else frame
        for i, (frame, (dx, dy)) in enumerate(zip(frames, DITHERS, strict=True))
    ]
    marked = build_reference(seen, ReferenceConfig()).frame
    np.testing.assert_array_equal(marked.data, unmarked.data)
    frame = science((*CLEAR, 9000.0), (*ELSEWHERE, 4000.0))
    assert contaminated(frame, marked) == ([True, False], [True, False])


def test_marks_stay_on_the_frame():
    frame = with_changing(member(0), np.array([0, 255, 400]), np.array([0, 128, 128]))
    y, x = np.nonzero(frame.mask & CHANGING)
    assert set(zip(x.tolist(), y.tolist(), strict=True)) == {
        *((x, y) for x in (0, 1) for y in (0, 1)),
        *((x, y) for x in (254, 255) for y in (127, 128, 129)),
    }


def planned(*sightings):
    run = {"run_id": UUID(int=1), "observation_id": UUID(int=2), "field": "F", "filter_band": "r"}
    rows = [
        {"observation_id": observation, "x_pix": x, "y_pix": y} for observation, x, y in sightings
    ]
    (task,) = plan_references("sim", "deep", [run], rows, ReferenceConfig())
    return task


def test_what_is_known_to_change_makes_another_reference():
    mine, other = UUID(int=2), UUID(int=3)
    one = planned((mine, 10.2, 20.4))
    assert one.changes == {mine: ((10, 20),)}
    assert one.run_id != planned().run_id
    assert one.run_id != planned((mine, 10.2, 21.4)).run_id
    # The same found again, a hair beside and twice; and what no member saw.
    again = planned((mine, 9.9, 20.1), (mine, 10.0, 20.0), (other, 1.0, 1.0))
    assert again.run_id == one.run_id
    assert planned((other, 1.0, 1.0)).run_id == planned().run_id
