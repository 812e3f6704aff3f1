"""The bench: what a stage fetches is what was written, or an error that says so."""

import numpy as np
import pytest

from astrid_core.errors import BadFitsError, ObjectCorruptError
from astrid_core.frame import Frame, read_frame, write_frame
from astrid_core.simulation.pair import PairConfig, simulate_pair
from astrid_core.stages.bench import Bench

KEY = "processed_frames/one.fits"


@pytest.fixture(scope="module")
def frame() -> Frame:
    return simulate_pair(PairConfig(seed=4, shape=(140, 150), n_stars=30)).science


def test_a_frame_comes_back_as_it_was_written(bench: Bench, frame: Frame) -> None:
    path = bench.staging_path(KEY)
    write_frame(frame, path)
    sha256 = bench.store.put_file(KEY, path)
    fetched, read = bench.frame(KEY, sha256), read_frame(path)
    for name in ("data", "variance", "mask", "stars"):
        np.testing.assert_array_equal(getattr(fetched, name), getattr(read, name))
        np.testing.assert_array_equal(getattr(fetched, name), getattr(frame, name))
    assert fetched.meta == frame.meta
    assert [found for found in bench.scratch.iterdir() if found.is_dir()] == [path.parent]


def test_a_changed_bit_is_found_by_the_object_s_hash_and_by_the_file_s_own_sums(
    bench: Bench, frame: Frame
) -> None:
    path = bench.staging_path(KEY)
    write_frame(frame, path)
    sha256 = bench.store.put_file(KEY, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    bench.store.put_file(KEY, path)
    with pytest.raises(ObjectCorruptError, match=KEY):
        bench.frame(KEY, sha256)
    with pytest.raises(ObjectCorruptError, match=KEY):
        bench.difference(KEY, sha256)
    with pytest.raises(BadFitsError):
        read_frame(path)
