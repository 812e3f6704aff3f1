"""The shipped weights on a real event: trained on simulated skies, asked about a real one."""

import datetime as dt
import json
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from astropy.io import fits

from astrid_core.detection.card import read_card
from astrid_core.detection.config import DetectionConfig
from astrid_core.detection.registry import shipped
from astrid_core.detection.scoring import detect
from astrid_core.detection.unet import load_model
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import extract_candidates
from astrid_core.frame import Frame, FrameMeta
from astrid_core.preprocessing.config import PreprocessConfig
from astrid_core.preprocessing.process import process_frame
from astrid_core.preprocessing.raw import RawFrame

FOLDER = "kb13475-saao1m"


def processed(path: Path) -> Frame:
    """A frame of the SAAO 1.0 m telescope in a crowded bulge field; no WCS."""
    with fits.open(path) as hdus:
        data, header = hdus[0].data.astype(np.float32), hdus[0].header
    meta = FrameMeta(
        UUID(int=1),
        FOLDER,
        dt.date(2013, 7, 1),
        "bulge",
        "I",
        None,
        float(header["EXPTIME"]),
        unit="adu",
        saturation=60000.0,
    )
    raw = RawFrame(data, meta, "science", 1.9, 5.0, 60000.0, None, header)
    return process_frame(raw, None, PreprocessConfig()).frame


@pytest.mark.real_data
def test_a_microlensing_event_is_the_most_confident_detection_either_way_round(real_data: Path):
    weights, card = shipped()
    read = read_card(card)
    model = load_model(weights, read, read.sha256, "cpu")
    truth = json.loads((real_data / "truth.json").read_text())[FOLDER]["frames"]
    names = ("AKB13475I0100", "AKB13475I0180")
    peak, baseline = (processed(real_data / FOLDER / f"{name}.fits") for name in names)
    for name, science, reference in (
        (names[0], peak, baseline),
        (names[1], baseline, peak),
    ):
        difference = subtract_frames(science, reference, DifferenceConfig())
        candidates = extract_candidates(difference, science, ExtractionConfig()).candidates
        found = detect(model, science, difference, candidates, DetectionConfig(device="cpu"))
        best = max(found, key=lambda source: source.confidence_score)
        at = truth[name]
        assert np.hypot(best.x_pix - at["x"], best.y_pix - at["y"]) < 1.0
        assert best.confidence_score > 0.9
        assert best.is_negative == (science is baseline)
