"""Training shards from the simulated sky, through the real pipeline.

Raw exposures are rendered, processed, a reference is built and subtracted, candidates are
extracted, by the very functions that work on real nights; only then does the truth
become labels. Each *sky* has its own detector, weather and fields and lies in one split
only, so that what is held out was never seen in any way.
"""

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astrid_core.detection.bootstrap_artefacts import artefacts_of, with_wings
from astrid_core.detection.planes import planes_reader
from astrid_core.detection.shards import (
    TRUTH_DTYPE,
    Shard,
    Split,
    label_pixels,
    match_candidates,
    write_shard,
)
from astrid_core.differencing.config import DifferenceConfig
from astrid_core.differencing.references import build_reference
from astrid_core.differencing.registration_config import ReferenceConfig
from astrid_core.differencing.subtract import subtract_frames
from astrid_core.errors import AstridError
from astrid_core.extraction.config import ExtractionConfig
from astrid_core.extraction.extract import extract_candidates
from astrid_core.flags import NOT_SEARCHED
from astrid_core.frame import Frame, FrameMeta
from astrid_core.identity import observation_id
from astrid_core.parallel import map_frames
from astrid_core.preprocessing.astrometry import trustworthy_wcs
from astrid_core.preprocessing.config import CosmicsConfig, PreprocessConfig
from astrid_core.preprocessing.process import process_frame
from astrid_core.preprocessing.raw import RawFrame
from astrid_core.simulation.conditions import conditions_of
from astrid_core.simulation.injection import inject_sources, plan_injections
from astrid_core.simulation.scene import SceneConfig, SimulatedExposure, render_exposure

_log = logging.getLogger(__name__)

FIRST_SEED = 7_700_000
"""Seeds of skies count up from here; the demo's and the tests' lie elsewhere."""

SKIES: dict[Split, int] = {"train": 24, "validation": 6, "test": 6}
FIELDS_PER_SKY = 2
SCIENCE_NIGHTS = (dt.date(2025, 3, 10), dt.date(2025, 3, 13))
REFERENCE_NIGHTS = tuple(dt.date(2025, 3, day) for day in (1, 2, 3))

INJECTED_SNR = (3.0, 200.0)
"""As bright as artefacts get: else what is bright would be bogus by that alone."""

_UNFILTERED = frozenset({"masked", "sharp", "trail_part", "dipole_partner"})
_EXTRACTION = {
    "train": ExtractionConfig(threshold_sigma=4.0, disabled_filters=_UNFILTERED),
    "validation": ExtractionConfig(disabled_filters=_UNFILTERED),
    "test": ExtractionConfig(disabled_filters=_UNFILTERED),
}
"""What the named filters remove is bogus to learn from and be judged on; which of the
candidates the default extraction keeps is put down with them."""


@dataclass(frozen=True)
class FieldTask:
    """One field of one sky: the unit of work, and of resuming it."""

    split: Split
    sky_index: int
    field_index: int
    folder: Path

    @property
    def seed(self) -> int:
        """Seed of the sky; skies of all splits are numbered through."""
        return FIRST_SEED + self.sky_index

    def path(self, night: dt.date) -> Path:
        """Shard of a science night."""
        name = f"{self.split}-{self.seed}-{self.field_index}-{night.isoformat()}.npz"
        return self.folder / name

    @property
    def todo(self) -> list[dt.date]:
        """Science nights whose shard is missing."""
        return [night for night in SCIENCE_NIGHTS if not self.path(night).exists()]


def plan_tasks(folder: Path) -> list[FieldTask]:
    """All fields of all skies, splits interleaved so that an early stop leaves some of each."""
    tasks = []
    first = 0
    for split, n_skies in SKIES.items():
        for sky in range(n_skies):
            order = sky / n_skies
            tasks += [
                (order, FieldTask(split, first + sky, field, folder))
                for field in range(FIELDS_PER_SKY)
            ]
        first += n_skies
    return [task for _, task in sorted(tasks, key=lambda pair: pair[0])]


def generate(folder: Path, workers: int) -> Iterator[tuple[FieldTask, list[str]]]:
    """Make the shards that are missing, a field at a time.

    Yields
    ------
    Each field with a line per shard made or failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [task for task in plan_tasks(folder) if task.todo]
    for task, lines in map_frames(make_field, tasks, workers):
        yield task, [str(lines)] if isinstance(lines, AstridError) else lines


def make_field(task: FieldTask) -> list[str]:
    """Make the missing shards of a field; a frame the pipeline refuses is left out."""
    config = sky_config(task.seed)
    try:
        reference = make_reference(config, task.field_index)
    except AstridError as error:
        return [f"{task.path(night).stem}: {error}" for night in task.todo]
    lines = []
    for turn, night in enumerate(SCIENCE_NIGHTS):
        path = task.path(night)
        if path.exists():
            continue
        try:
            exposure = expose(config, task.field_index, night)
            # Rejection misses some cosmic rays on real detectors: every other frame skips it.
            science = process_exposure(exposure, reject_cosmics=turn % 2 == 0)
            shard = make_shard(exposure, science, reference, task.split)
        except AstridError as error:
            lines.append(f"{path.stem}: {error}")
            continue
        write_shard(shard, path)
        counts = np.bincount(shard.candidates["label"], minlength=256)
        lines.append(f"{path.stem}: {counts[1]} real, {counts[0]} bogus")
    return lines


def sky_config(seed: int) -> SceneConfig:
    """Conditions of a sky, drawn wider than any one survey's."""
    rng = np.random.default_rng(seed)
    seeing = float(rng.uniform(2.6, 4.6))
    n_references = int(rng.choice([1, len(REFERENCE_NIGHTS)]))
    return SceneConfig(
        seed=seed,
        n_fields=FIELDS_PER_SKY,
        shape=(512, 512),
        reference_nights=REFERENCE_NIGHTS[:n_references],
        science_nights=SCIENCE_NIGHTS,
        stars_per_field=int(np.exp(rng.uniform(np.log(80), np.log(900)))),
        galaxies_per_field=int(rng.uniform(20, 150)),
        sky_e=float(np.exp(rng.uniform(np.log(200), np.log(3000)))),
        read_noise_e=float(rng.uniform(3, 10)),
        seeing_pix=seeing,
        seeing_range_pix=(max(2.2, 0.8 * seeing), 1.4 * seeing),
        psf_variation=float(rng.uniform(0, 0.06)),
        ellipticity_max=float(rng.uniform(0.02, 0.2)),
        rotation_deg=float(rng.uniform(0, 0.5)),
        cosmic_rays=float(rng.uniform(5, 40)),
        bad_columns=int(rng.integers(1, 6)),
        hot_pixels=int(rng.integers(10, 150)),
        trail_probability=0.3,
        transients_per_field=3.0,
        variables_per_field=8.0,
        movers_per_field=2.0,
    )


def expose(config: SceneConfig, field_index: int, night: dt.date) -> SimulatedExposure:
    """An exposure of a sky, with the wings of its PSF and artefacts of many shapes."""
    conditions = conditions_of(config, field_index, night, config.filters[0])
    return render_exposure(
        config,
        field_index,
        night,
        conditions=with_wings(conditions, config.seed),
        artefacts=artefacts_of(config.seed),
    )


def make_reference(config: SceneConfig, field_index: int) -> Frame:
    """Reference of a field, from all its reference nights: what its truth is relative to."""
    frames = [
        process_exposure(expose(config, field_index, night), reject_cosmics=True)
        for night in config.reference_nights
    ]
    return build_reference(frames, ReferenceConfig()).frame


def process_exposure(exposure: SimulatedExposure, *, reject_cosmics: bool) -> Frame:
    """Frame of an exposure, by the pipeline."""
    config = PreprocessConfig(cosmics=CosmicsConfig(enabled=reject_cosmics))
    return process_frame(raw_frame(exposure), None, config).frame


def make_shard(
    exposure: SimulatedExposure,
    science: Frame,
    reference: Frame,
    split: Split,
    snr_range: tuple[float, float] = INJECTED_SNR,
) -> Shard:
    """Inject into a processed frame, subtract, extract, and put down what is true."""
    science, plan = inject(exposure, science, reference, snr_range)
    difference = subtract_frames(science, reference, DifferenceConfig())
    found = extract_candidates(difference, science, _EXTRACTION[split]).candidates
    kept = extract_candidates(difference, science, ExtractionConfig()).candidates
    truth = np.concatenate([_known(exposure.truth), _known(plan)])
    fwhm = difference.psf.fwhm_pix
    candidates = match_candidates(
        np.array([source.x_pix for source in found]),
        np.array([source.y_pix for source in found]),
        np.array([source.scorr_peak for source in found]),
        truth,
        fwhm,
    )
    peaks = {(source.x_peak_pix, source.y_peak_pix) for source in kept}
    candidates["is_default"] = [(s.x_peak_pix, s.y_peak_pix) in peaks for s in found]
    labels, sources = label_pixels(difference.scorr, candidates, truth, fwhm)
    whole = slice(None)
    return Shard(
        planes=planes_reader(science, difference)(whole, whole).astype(np.float16),
        scorr=difference.scorr_without(NOT_SEARCHED).astype(np.float16),
        labels=labels,
        sources=sources,
        candidates=candidates,
        truth=truth,
        fwhm_pix=fwhm,
        sky=f"{exposure.config.seed}-{exposure.field_index}",
        split=split,
    )


def inject(
    exposure: SimulatedExposure,
    science: Frame,
    reference: Frame,
    snr_range: tuple[float, float] = INJECTED_SNR,
) -> tuple[Frame, NDArray[Any]]:
    """Science frame with planted sources, and what was planted."""
    parts = (exposure.config.seed, exposure.field_index, exposure.night.toordinal())
    rng = np.random.default_rng(parts)
    plan = plan_injections(science, rng, reference=reference, snr_range=snr_range)
    return inject_sources(science, plan["x_pix"], plan["y_pix"], plan["flux"], rng), plan


def raw_frame(exposure: SimulatedExposure) -> RawFrame:
    """Exposure as ingest and ``read_raw`` would hand it on."""
    header, config = exposure.header, exposure.config
    meta = FrameMeta(
        observation_id=observation_id(
            "bootstrap", f"{config.seed}-{exposure.field_index}-{exposure.night}"
        ),
        survey="bootstrap",
        night=exposure.night,
        field=str(header["OBJECT"]),
        filter_band=exposure.filter_band,
        observation_time=dt.datetime.fromisoformat(header["DATE-AVG"]).replace(tzinfo=dt.UTC),
        exposure_s=config.exposure_s,
        instrument=str(header["INSTRUME"]),
        detector=str(header["DETECTOR"]),
        unit="adu",
        saturation=float(header["SATURATE"]),
        zero_point_mag=float(header["MAGZERO"]),
    )
    return RawFrame(
        data=exposure.adu.astype(np.float32),
        meta=meta,
        kind="science",
        gain_e_adu=config.gain_e_adu,
        read_noise_e=config.read_noise_e,
        saturation_adu=float(header["SATURATE"]),
        wcs=trustworthy_wcs(header, config.shape),
        header=header,
    )


def _known(table: NDArray[Any]) -> NDArray[Any]:
    known = np.zeros(len(table), dtype=TRUTH_DTYPE)
    for name in TRUTH_DTYPE.names or ():
        known[name] = table[name]
    return known
