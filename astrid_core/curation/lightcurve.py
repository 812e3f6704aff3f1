"""Light curves: what the forced measurements of one object add up to.

Where frames have a zero point, flux is µJy (AB) and the reference's flux is added: the
brightness of the thing itself, in every frame on one scale. Where they have none, it is the
difference alone, divided by the frame's flux ratio: then epochs are on one scale too, that
of their reference, whatever their exposure and transparency.
"""

import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

Kind = Literal["total", "difference"]

_LIMIT_SIGMA = 3.0
_MARKERS = ("o", "s", "D", "v", "P", "X")


@dataclass(frozen=True)
class LightCurvePoint:
    """One epoch of an object.

    Attributes
    ----------
    observation_time
        UTC of mid-exposure; None where unknown.
    flux, flux_err
        In ``unit``; 1σ of the epoch alone. The reference's own error is common to all
        epochs of a reference and not in it.
    kind
        ``total``: reference plus difference. ``difference``: what changed, alone.
    unit
        ``uJy`` (AB) or ``instrumental``: units of the reference ``reference_id``.
    reference_flux_err
        1σ of the reference flux in ``flux``; None where there is none in it.
    snr
        Of the difference, signed: whether the object differed from the reference.
    flags
        :class:`~astrid_core.flags.ForcedFlag` bits.
    """

    observation_time: dt.datetime | None
    filter_band: str
    flux: float
    flux_err: float
    kind: Kind
    unit: str
    reference_id: UUID | None
    reference_flux_err: float | None
    snr: float
    flags: int

    def upper_limit(self, n_sigma: float = _LIMIT_SIGMA) -> float:
        """Flux that the object was below, at ``n_sigma``."""
        return max(self.flux, 0.0) + n_sigma * self.flux_err


def assemble_light_curve(measurements: Iterable[Mapping[str, Any]]) -> tuple[LightCurvePoint, ...]:
    """Light curve of one object from its forced measurements.

    Parameters
    ----------
    measurements
        Rows of ``forced_photometry`` with ``observation_time``, ``filter_band``,
        ``reference_id`` and ``flux_ratio`` (science over reference) of their images. Rows
        without flux, where pixels were masked, make no point.

    Returns
    -------
    Points by time, those of unknown time last.
    """
    points = [_point(row) for row in measurements if row["flux"] is not None]
    return tuple(sorted(points, key=_by_time))


def _point(row: Mapping[str, Any]) -> LightCurvePoint:
    flux, flux_err, unit = row["flux"], row["flux_err"], row["flux_unit"]
    reference_flux, reference_flux_err = row["reference_flux"], row["reference_flux_err"]
    kind: Kind = "difference"
    if unit == "instrumental":
        flux, flux_err = flux / row["flux_ratio"], flux_err / row["flux_ratio"]
        reference_flux_err = None
    elif reference_flux is not None:
        kind, flux = "total", reference_flux + flux
    return LightCurvePoint(
        observation_time=row["observation_time"],
        filter_band=row["filter_band"],
        flux=flux,
        flux_err=flux_err,
        kind=kind,
        unit=unit,
        reference_id=row["reference_id"],
        reference_flux_err=reference_flux_err,
        snr=row["snr"],
        flags=row["flags"],
    )


def _by_time(point: LightCurvePoint) -> tuple[bool, float, str, float]:
    time = point.observation_time
    return time is None, 0.0 if time is None else time.timestamp(), point.filter_band, point.flux


def plot_light_curve(points: Sequence[LightCurvePoint], title: str) -> bytes:
    """PNG of a light curve: a marker per filter, 3σ limits as open triangles.

    Points of unknown time are left out.
    """
    # Imported here: takes as long as a frame's photometry, and only a picture needs it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.figure import Figure

    def times(epochs: Sequence[LightCurvePoint]) -> list[float]:
        return [float(date2num(p.observation_time)) for p in epochs]

    figure = Figure(figsize=(6.4, 3.2), dpi=100, layout="constrained")
    axes = FigureCanvasAgg(figure).figure.subplots()
    dated = [point for point in points if point.observation_time is not None]
    series = sorted({(point.filter_band, point.kind, point.unit) for point in dated})
    for number, (band, kind, unit) in enumerate(series):
        mine = [p for p in dated if (p.filter_band, p.kind, p.unit) == (band, kind, unit)]
        colour = f"C{number % 10}"
        seen = [p for p in mine if kind == "total" or abs(p.snr) >= _LIMIT_SIGMA]
        unseen = [p for p in mine if p not in seen]
        axes.errorbar(
            times(seen),
            [p.flux for p in seen],
            [p.flux_err for p in seen],
            fmt=_MARKERS[number % len(_MARKERS)],
            color=colour,
            label=f"{band}, {kind}, {'µJy' if unit == 'uJy' else unit}",
        )
        axes.scatter(
            times(unseen),
            [p.upper_limit() for p in unseen],
            marker="v",
            facecolors="none",
            edgecolors=colour,
        )
    ticks = AutoDateLocator(minticks=2, maxticks=8)
    axes.xaxis.set_major_locator(ticks)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(ticks))
    axes.axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
    axes.set_title(title, fontsize="small")
    axes.set_ylabel("flux")
    if series:
        axes.legend(fontsize="x-small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
