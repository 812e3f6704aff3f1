"""Throughput of an archive's downloads against plain parallel curl of the same files.

``python -m benchmarks.archive``: a server of static files in a process of its own on
loopback, many small files and few large ones, both ways in turn. AstrID's way also checks
every hop, paces itself (here so fast that it does not count), hashes each file and proves
it a whole FITS file with true checksums; curl writes what comes.
"""

import argparse
import functools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from astropy.io import fits

from astrid_core.remote.config import ArchiveOptions
from astrid_core.remote.session import ArchiveSession
from astrid_core.surveys.archive.download import Fetched, fetch_all
from astrid_core.surveys.archive.product import Product

_PARALLEL = 4
_MIB = 1 << 20


@dataclass(frozen=True)
class Load:
    """So many images of so many pixels along a side, each answered after some time.

    Attributes
    ----------
    latency_s
        0 measures what AstrID costs; the time of an archive across an ocean, what is felt.
    """

    name: str
    n_files: int
    side_pix: int
    latency_s: float = 0.0


LOADS = (
    Load("500 small files at once", 500, 64),
    Load("500 small files after 50 ms", 500, 64, 0.05),
    Load("24 large files at once", 24, 2048),
)


class _Files(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each small file waits 40 ms for nothing

    latency_s = 0.0

    def do_GET(self) -> None:
        """Answer after a while."""
        time.sleep(self.latency_s)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are counted by the clients."""


def serve(folder: Path, latency_s: float) -> None:
    """Serve a folder on loopback; the port is printed first."""
    _Files.latency_s = latency_s
    handler = functools.partial(_Files, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


def main() -> None:
    """Print seconds and MiB/s of both ways, and the ratio of their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each way, in turn")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--latency", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve(arguments.serve, arguments.latency)
        return
    if shutil.which("curl") is None:
        raise SystemExit("curl is not installed: there is nothing to compare with")
    for load in LOADS:
        measure(load, arguments.rounds)


def measure(load: Load, rounds: int) -> None:
    """Time both ways on one load, in turn, each into an empty folder."""
    with tempfile.TemporaryDirectory(prefix="astrid-benchmark-") as scratch:
        folder = Path(scratch)
        names = _write(load, folder / "served")
        command = [sys.executable, "-m", "benchmarks.archive", "--serve", str(folder / "served")]
        command += ["--latency", str(load.latency_s)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            host = f"127.0.0.1:{server.stdout.readline().strip()}"
            ways: dict[str, Callable[[Path], None]] = {
                "curl": lambda target: _curl(host, names, target),
                "AstrID": lambda target: _astrid(host, names, target),
            }
            times_s: dict[str, list[float]] = {way: [] for way in ways}
            for number in range(rounds):
                for way, fetch in ways.items():
                    target = folder / f"{way}-{number}"
                    target.mkdir()
                    begun = time.perf_counter()
                    fetch(target)
                    times_s[way].append(time.perf_counter() - begun)
                    shutil.rmtree(target)
        finally:
            server.terminate()
            server.wait()
        n_bytes = sum(path.stat().st_size for path in (folder / "served").iterdir())
    _report(load, n_bytes, times_s)


def _report(load: Load, n_bytes: int, times_s: dict[str, list[float]]) -> None:
    print(f"{load.name}, {n_bytes / _MIB:.1f} MiB, {_PARALLEL} at a time:")
    medians = {way: statistics.median(times) for way, times in times_s.items()}
    for way, median_s in medians.items():
        spread = f"{min(times_s[way]):.2f} to {max(times_s[way]):.2f}"
        print(f"  {way:7s} {median_s:6.2f} s ({spread})  {n_bytes / _MIB / median_s:7.1f} MiB/s")
    print(f"  ratio of medians {medians['AstrID'] / medians['curl']:.2f}")


def _write(load: Load, folder: Path) -> list[str]:
    folder.mkdir()
    random = np.random.default_rng(1)
    names = [f"{number:03d}.fits" for number in range(load.n_files)]
    for name in names:
        pixels = random.normal(1000, 30, (load.side_pix, load.side_pix)).astype(np.float32)
        fits.PrimaryHDU(pixels).writeto(folder / name, checksum=True)
    return names


def _curl(host: str, names: Sequence[str], target: Path) -> None:
    config = target / "urls"
    lines = [f'url = "http://{host}/{name}"\noutput = "{target / name}"' for name in names]
    config.write_text("\n".join(lines))
    command = ["curl", "--silent", "--fail", "--parallel", "--parallel-max", str(_PARALLEL)]
    subprocess.run([*command, "--config", str(config)], check=True, stderr=subprocess.DEVNULL)


def _astrid(host: str, names: Sequence[str], target: Path) -> None:
    rules = ArchiveOptions(
        allowed_hosts=(host,),
        allow_private=True,
        rate_per_s=1000,
        parallel=_PARALLEL,
        min_free_gib=0,
        cache_dir=target,
    )
    products = [Product(name, f"http://{host}/{name}") for name in names]
    session = ArchiveSession("benchmark", rules)
    for result in fetch_all(products, session, max_frame_mpix=64.0):
        if not isinstance(result, Fetched):
            raise result.error


if __name__ == "__main__":
    main()
