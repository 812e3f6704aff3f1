"""Cutouts in and out of FITS."""

import hashlib
import io
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from astropy.io import fits
from test_extract import made_up

from astrid_core.errors import BadFitsError, ObjectCorruptError
from astrid_core.extraction.cutouts import (
    cut_triplets,
    cutout_fits,
    read_cutouts,
    read_one_cutout,
    write_cutouts,
)
from astrid_core.flags import PixelFlag

IDS = [UUID(int=7), UUID(int=8)]


def test_planes_are_centred_and_nan_outside():
    image, science = made_up(np.zeros((100, 120)))
    image.mask[50, 60] = PixelFlag.NODATA
    stack = cut_triplets(image, science, np.array([60.4, 2.0]), np.array([49.6, 97.0]))
    assert stack.shape == (2, 4, 63, 63)
    assert stack.dtype == np.float32
    assert stack[0, 0, 31, 31] == science.data[50, 60]
    assert np.isnan(stack[0, 1:, 31, 31]).all()
    assert stack[0, 3, 32, 31] == image.scorr[51, 60]
    inside = np.isfinite(stack[1, 2])
    np.testing.assert_array_equal(inside.any(axis=1), np.arange(63) < 34)
    np.testing.assert_array_equal(inside.any(axis=0), np.arange(63) >= 29)


def test_far_outside_is_nan():
    image, science = made_up(np.zeros((100, 120)))
    assert np.isnan(cut_triplets(image, science, np.array([500.0]), np.array([-80.0]))).all()


def test_same_content_same_bytes(tmp_path: Path):
    image, science = made_up(np.zeros((100, 120)))
    stack = cut_triplets(image, science, np.array([60.0, 20.0]), np.array([50.0, 97.0]))
    write_cutouts(stack, IDS, tmp_path / "a.fits", {"RUNID": "r"})
    write_cutouts(stack, IDS, tmp_path / "b.fits", {"RUNID": "r"})
    assert (tmp_path / "a.fits").read_bytes() == (tmp_path / "b.fits").read_bytes()
    back, ids = read_cutouts(tmp_path / "a.fits")
    np.testing.assert_array_equal(back, stack)
    assert ids == IDS
    write_cutouts(stack, IDS, tmp_path / "d.fits", {"RUNID": "r"}, of="detection")
    assert read_cutouts(tmp_path / "d.fits")[1] == IDS
    with fits.open(tmp_path / "d.fits") as hdus:
        assert hdus["IDS"].columns.names == ["detection_id"]


def test_wrong_ids_and_broken_files_are_refused(tmp_path: Path):
    image, science = made_up(np.zeros((100, 120)))
    stack = cut_triplets(image, science, np.array([60.0, 20.0]), np.array([50.0, 97.0]))
    with pytest.raises(ValueError, match="2 cutouts but 1 ids"):
        write_cutouts(stack, IDS[:1], tmp_path / "a.fits")
    path = tmp_path / "b.fits"
    write_cutouts(stack, IDS, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(BadFitsError):
        read_cutouts(path)


def test_one_of_many_is_read_alone(tmp_path: Path):
    stack = np.random.default_rng(3).normal(0, 1, (5, 4, 7, 9)).astype(np.float32)
    stack[2, 0, 0] = np.nan
    ids = [UUID(int=i) for i in range(5)]
    write_cutouts(stack, ids, tmp_path / "c.fits", {f"CARD{i}": "text" for i in range(100)})
    data = (tmp_path / "c.fits").read_bytes()
    n_read = 0

    def read(start: int, n_bytes: int) -> bytes:
        nonlocal n_read
        n_read += n_bytes
        return data[start : start + n_bytes]

    for index, expected in enumerate(stack):
        n_read = 0
        sha256 = hashlib.sha256(expected.tobytes()).hexdigest()
        np.testing.assert_array_equal(read_one_cutout(read, index, sha256), expected)
        assert n_read <= expected.nbytes + 8 * 2880
        with pytest.raises(ObjectCorruptError):
            read_one_cutout(read, (index + 1) % 5, sha256)
    with pytest.raises(ObjectCorruptError):
        read_one_cutout(read, 1000, sha256)
    for broken in (b"", b"no FITS" * 9000, data[:2880]):
        with pytest.raises(BadFitsError):
            read_one_cutout(lambda a, n, held=broken: held[a : a + n], 0, sha256)


def test_one_as_a_file_of_its_own():
    cutout = np.random.default_rng(3).normal(0, 1, (4, 7, 9)).astype(np.float32)
    written = cutout_fits(cutout, UUID(int=7))
    assert written == cutout_fits(cutout, UUID(int=7))
    with fits.open(io.BytesIO(written), checksum=True) as hdus:
        np.testing.assert_array_equal(hdus[0].data, cutout)
        assert hdus[0].header["DETID"] == str(UUID(int=7))
