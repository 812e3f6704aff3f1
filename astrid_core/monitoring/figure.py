"""The look of the platform's plots, and their way into a PNG.

matplotlib is imported when a figure is drawn: a run that draws none does not pay for it.
"""

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1f2933", "#6b7785", "#e4e8ec", "#ffffff"
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = (
    "#2166ac",
    "#e08214",
    "#1b9e77",
    "#b2182b",
    "#7b52ab",
    "#8d99a6",
)
"""Told apart with any colour vision, and in grey."""
SERIES = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)

_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlesize": 9.5,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "text.color": INK,
    "text.parse_math": False,  # filters are named by headers: a '$' begins no formula
}


def style() -> Any:
    """Context in which figures are made and drawn."""
    from matplotlib import rc_context

    return rc_context(_STYLE)


def new_figure(width_in: float, height_in: float) -> "Figure":
    """An empty figure that belongs to no window system."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in))


def png(figure: "Figure", dpi: int = 110) -> bytes:
    """The figure as PNG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def nothing_to_show(axes: "Axes", text: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.grid(False)
    # Not by removing the ticks of x, which panels may share.
    axes.tick_params(bottom=False, labelbottom=False)
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED)
