"""A real microlensing event: one object over six weeks, its light curve the known one."""

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from astrid_core.curation.lightcurve import assemble_light_curve
from astrid_core.curation.objects import Association, Epoch, ObjectConfig, Sighting, associate
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.difference import DifferenceImage
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.differencing.transform import invert
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import extract_candidates
from astrid_core.extraction.forced import force_photometry
from astrid_core.frame import Frame
from astrid_core.identity import derive_id
from tests.astrid_core.extraction.test_real_candidates import processed

pytestmark = pytest.mark.real_data

BASELINE = "AKB13475I0180"
PEAK = "AKB13475I0100"
REFERENCE_ID = UUID(int=180)


@dataclass(frozen=True)
class Event:
    """Every other frame against the one nearest to baseline, and its candidates as objects."""

    truth: dict[str, dict[str, float]]
    images: dict[str, DifferenceImage]
    reference: Frame
    found: Association


@pytest.fixture(scope="module")
def event(real_data: Path) -> Event:
    folder = real_data / "kb13475-saao1m"
    truth = json.loads((real_data / "truth.json").read_text())["kb13475-saao1m"]["frames"]
    reference = processed(folder / f"{BASELINE}.fits")
    images, sightings = {}, []
    for name in sorted(truth.keys() - {BASELINE}):
        science = processed(folder / f"{name}.fits")
        images[name] = subtract_frames(science, reference, DifferenceConfig())
        sightings += seen_on(name, images[name], science)
    return Event(truth, images, reference, associate(sightings, ObjectConfig()))


def seen_on(name: str, image: DifferenceImage, science: Frame) -> list[Sighting]:
    time = image.meta.observation_time
    assert time is not None
    epoch = Epoch(
        observation_id=derive_id("frame", name),
        night=time.date(),
        observation_time=time,
        reference_id=REFERENCE_ID,
        fwhm_pix=image.psf.fwhm_pix,
        registration_rms_pix=image.quality.registration_rms_pix,
        pixel_scale_arcsec=None,
    )
    return [
        Sighting(
            id=derive_id("source", name, one.x_peak_pix, one.y_peak_pix),
            epoch=epoch,
            x_pix=one.x_pix,
            y_pix=one.y_pix,
            ra=None,
            dec=None,
            x_reference_pix=image.reference_position(one.x_pix, one.y_pix)[0],
            y_reference_pix=image.reference_position(one.x_pix, one.y_pix)[1],
            snr=one.snr,
            confidence_score=1.0,
        )
        for one in extract_candidates(image, science, ExtractionConfig()).candidates
    ]


def test_the_event_is_one_object_seen_on_every_frame(event: Event):
    """Without WCS, shifts of tens of pixels, FWHM from 3.2 to 5.8 px."""
    strongest = max(event.found.objects, key=lambda one: one.best.snr)
    frames = {s.epoch.observation_id for s in strongest.sightings}
    assert frames == {derive_id("frame", name) for name in event.images}
    baseline = event.truth[BASELINE]
    assert strongest.best.x_reference_pix == pytest.approx(baseline["x"], abs=0.5)
    assert strongest.best.y_reference_pix == pytest.approx(baseline["y"], abs=0.5)


def test_its_light_curve_is_the_known_one(event: Event):
    """Difference fluxes on the baseline frame's scale, against photometry by aperture.

    The aperture's fluxes are approximate (off the event, with its neighbours' light): the
    two agree up to one factor, to a quarter.
    """
    best = max(event.found.objects, key=lambda one: one.best.snr).best
    rows = [measured_on(image, event.reference, best) for image in event.images.values()]
    points = assemble_light_curve(rows)
    assert {(point.kind, point.unit) for point in points} == {("difference", "instrumental")}
    by_time = {row["observation_time"]: name for name, row in zip(event.images, rows, strict=True)}
    names = [by_time[point.observation_time] for point in points]
    assert names == sorted(names), "frames are numbered in time"
    flux = np.array([point.flux for point in points])
    known = np.array([event.truth[name]["rel_flux"] for name in names])
    change = known - event.truth[BASELINE]["rel_flux"]
    ratio = flux / change
    print(
        "\n"
        + "\n".join(
            f"{n}: {f:8.0f} / {c:6.0f}" for n, f, c in zip(names, flux, change, strict=True)
        )
    )
    print(f"ratio {np.median(ratio):.2f}, scatter {ratio.std() / ratio.mean():.2f}")
    assert names[int(np.argmax(flux))] == PEAK
    assert list(np.argsort(flux)) == list(np.argsort(change))
    assert np.corrcoef(flux, change)[0, 1] > 0.99
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.3)
    assert all(point.snr > 10 for point in points)


def measured_on(image: DifferenceImage, reference: Frame, best: Sighting) -> dict[str, object]:
    """Forced measurement of an object on an image, as its row has it."""
    assert image.to_reference is not None
    to_x, to_y = np.array([best.x_reference_pix]), np.array([best.y_reference_pix])
    ny, nx = image.shape
    x, y = invert(image.to_reference, to_x, to_y, ((nx - 1) / 2, (ny - 1) / 2))
    (one,) = force_photometry(image, reference, x, y, ExtractionConfig().max_masked_weight)
    assert one.flux is not None
    assert one.flux_err is not None
    time = image.meta.observation_time
    assert isinstance(time, dt.datetime)
    return {
        "observation_time": time,
        "filter_band": image.meta.filter_band,
        "reference_id": REFERENCE_ID,
        "flux_ratio": image.quality.flux_ratio,
        "flux": one.flux,
        "flux_err": one.flux_err,
        "snr": one.flux / one.flux_err,
        "flux_unit": "instrumental",
        "reference_flux": one.reference_flux,
        "reference_flux_err": one.reference_flux_err,
        "flags": one.flags,
    }
