"""Speed and fidelity of the warp against SciPy's cubic spline.

Run ``python -m benchmarks.warp [side]``. For each rotation: nanoseconds per output pixel of
both (best of several, CPU time of this process) and the worst residual of stars of FWHM 2.5
and 4 px, in units of their peak.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from astrid_core.differencing.resample import Mapping2D, measure_geometry, resample

F64 = NDArray[np.float64]


def rotation(angle_deg: float, centre: float) -> Mapping2D:
    """Rotation about a centre, and a shift by a fraction of a pixel."""
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))

    def to_source(x: F64, y: F64) -> tuple[F64, F64]:
        dx, dy = x - centre, y - centre
        return centre + cos * dx - sin * dy + 3.37, centre + sin * dx + cos * dy - 2.41

    return to_source


def gaussians(side: int, x: F64, y: F64, fwhm_pix: float) -> NDArray[np.float32]:
    """Stars of peak 1 on a grid wide enough apart not to touch."""
    image = np.zeros((side, side), dtype=np.float32)
    for px, py in zip(x, y, strict=True):
        rows = np.arange(max(0, int(py) - 15), min(side, int(py) + 17))
        columns = np.arange(max(0, int(px) - 15), min(side, int(px) + 17))
        r2 = (rows[:, None] - py) ** 2 + (columns - px) ** 2
        image[np.ix_(rows, columns)] += np.exp(-4 * np.log(2) * r2 / fwhm_pix**2)
    return image


def seconds(function: Callable[[], Any], repeats: int) -> float:
    """Best CPU time of several calls."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return float(best)


def main(side: int = 1024) -> None:
    """Print one line for each rotation."""
    grid = np.arange(60.3, side - 60, 43.61)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid))
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float64)
    print("rotation    ours  spline  factor | worst/peak ours, spline at FWHM 2.5 and 4 px")
    for angle in (0.0, 0.01, 0.05, 0.2, 1.0, 10.0):
        to_source = rotation(angle, side / 2)

        def ours(image: NDArray[np.float32], to: Mapping2D = to_source) -> Any:
            return resample(image, measure_geometry(to, (side, side)))

        def spline(image: NDArray[np.float32], to: Mapping2D = to_source) -> Any:
            at = to(columns, rows)
            return map_coordinates(image, [at[1], at[0]], order=3, output=np.float32)

        worst = []
        for fwhm in (2.5, 4.0):
            image = gaussians(side, *to_source(x, y), fwhm)
            truth = gaussians(side, x, y, fwhm)
            core = np.s_[side // 4 : -side // 4, side // 4 : -side // 4]
            worst += [np.abs(method(image) - truth)[core].max() for method in (ours, spline)]
        fast, slow = seconds(lambda: ours(image), 5), seconds(lambda: spline(image), 3)  # noqa: B023
        scale = 1e9 / side**2
        print(
            f"{angle:6.2f}°  {fast * scale:5.0f}   {slow * scale:5.0f}  {slow / fast:5.1f}× | "
            + ", ".join(f"{value:.4f}" for value in worst)
        )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
