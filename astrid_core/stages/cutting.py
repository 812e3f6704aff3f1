"""Cutouts around a run's rows, staged as one object: candidates' and U-Net components' alike."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from astrid_core.differencing.difference import DifferenceImage
from astrid_core.extraction.cutouts import cut_triplets, cutout_sha256, write_cutouts
from astrid_core.frame import Frame
from astrid_core.stages.bench import Bench, stage
from astrid_core.stages.outcome import Row, StagedObject


def stage_cutouts(
    rows: Sequence[Row],
    of: Literal["candidate", "detection"],
    image: DifferenceImage,
    science: Frame,
    key: str,
    run: object,
    bench: Bench,
) -> tuple[StagedObject, tuple[Row, ...]]:
    """Cut around the positions of rows, and stage the cutouts as one object.

    Parameters
    ----------
    rows
        Rows with ``id``, ``x_pix`` and ``y_pix``, at least one.
    key
        Of the object.
    run
        Id of the run that makes them, for the object's header.

    Returns
    -------
    The object, and the rows with ``cutout_path``, ``cutout_index`` and ``cutout_sha256``.
    """
    x, y = (np.array([row[name] for row in rows]) for name in ("x_pix", "y_pix"))
    triplets = cut_triplets(image, science, x, y)
    target = bench.staging_path(key)
    write_cutouts(triplets, [row["id"] for row in rows], target, {"RUNID": str(run)}, of)
    shown = tuple(
        row | {"cutout_path": key, "cutout_index": index, "cutout_sha256": cutout_sha256(triplet)}
        for index, (row, triplet) in enumerate(zip(rows, triplets, strict=True))
    )
    return stage(key, target), shown
