"""The house style of the figures: theory as lines, experiments as markers, thresholds as ticks.

`use_style` is called once at the top of a chapter. The helpers draw on the Axes they are given and touch nothing
else. `slider_figure` shows one figure for each value of a parameter, in a notebook and on a static page alike.
"""

import html
import io
from base64 import b64encode
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

try:
    import matplotlib as mpl
    from cycler import cycler
    from matplotlib import patheffects
except ImportError as error:
    raise ImportError("bsr.plotting draws with matplotlib: install bilinear-sequence-regression[plot]") from error

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Annotation

__all__ = ["COLORS", "STYLE", "experiment", "label_line", "shades", "slider_figure", "threshold", "use_style"]

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, told apart by colour-blind readers; their yellow is too faint on white."""

PIXELS_PER_INCH = 96  # of a page, by definition of the CSS inch

STYLE = {
    "figure.figsize": (5.8, 3.9),  # what a phone can show; figures of two panels are 7.2 wide, the column of the book
    "figure.dpi": PIXELS_PER_INCH,
    "figure.facecolor": "white",  # a page in dark mode shows figures on white
    "figure.constrained_layout.use": True,
    "savefig.dpi": 2 * PIXELS_PER_INCH,
    "font.size": 11,
    "axes.labelsize": 12,
    "legend.fontsize": 10,
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "errorbar.capsize": 2,
    "legend.frameon": False,
    "figure.max_open_warning": 20,  # matplotlib's own; its `rcdefaults` leaves out this one
    "svg.hashsalt": "bsr",  # the same figure gives the same file
}
"""Matplotlib settings of the book; a script can use them in `matplotlib.rc_context(STYLE)`."""

_HALO = [patheffects.withStroke(linewidth=3, foreground="white")]  # keeps a label readable across a curve


def use_style() -> None:
    """Set the style for this session, from matplotlib's defaults: no settings of the reader's own show through.

    In a notebook, figures appear below their cells, whatever MPLBACKEND says, and as SVG, sharp at any zoom and light.
    Another backend can be chosen afterwards, as by `%matplotlib widget`.
    """
    _show_figures_inline()
    mpl.rcdefaults()  # all but the backend and a few more that are not of the style
    mpl.rcParams.update(STYLE)


def _show_figures_inline():
    """Where there is a kernel: it follows MPLBACKEND, and with any other backend a page has no figures."""
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return
    shell = get_ipython()
    if getattr(shell, "kernel", None) is not None:
        shell.run_line_magic("matplotlib", "inline")
        set_matplotlib_formats("svg", metadata={"Date": None})


def shades(n: int, colormap: str = "viridis") -> list[tuple[float, float, float, float]]:
    """Colours from dark to light for curves ordered by a parameter, readable on white.

    Parameters
    ----------
    n : int
        How many.
    colormap : str, default 'viridis'
        One of matplotlib's; its lightest part is left out.

    Returns
    -------
    list of tuple
        RGBA.
    """
    return [mpl.colormaps[colormap](t) for t in np.linspace(0.05, 0.85, n)]


def experiment(
    ax: "Axes",
    x: ArrayLike,
    y: ArrayLike,
    err: ArrayLike | None = None,
    *,
    color: Any = None,
    marker: str = "o",
    open: bool = False,
    label: str | None = None,
) -> "ErrorbarContainer":
    """Draw measured points, with error bars where there are some.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x, y : array_like, shape (m,)
    err : array_like, shape (m,) or (2, m), optional
        Half-lengths of the error bars; say in the caption what they are.
    color : color, optional
        The next one of the palette by default.
    marker : str, default 'o'
        As in matplotlib.
    open : bool, default False
        Hollow markers, for values published elsewhere.
    label : str, optional
        For a legend.

    Returns
    -------
    matplotlib.container.ErrorbarContainer
    """
    face = {"markerfacecolor": "white"} if open else {}
    return ax.errorbar(x, y, yerr=err, fmt=marker, color=color, elinewidth=1, label=label, zorder=3, **face)


def threshold(ax: "Axes", x: float, label: str | None = None, *, color: Any = "0.35", height: float = 0.06) -> None:
    """Mark a critical value by a tick that stands on the x axis, with its label on top.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    x : float
    label : str, optional
    color : color, default '0.35'
    height : float, default 0.06
        Length of the tick as a fraction of the axis.
    """
    across = ax.get_xaxis_transform()
    ax.plot([x, x], [0, height], color=color, lw=2, solid_capstyle="butt", transform=across, zorder=2.5)
    if label is not None:
        note = ax.annotate(label, (x, height), xycoords=across, xytext=(0, 2), textcoords="offset points")
        note.set(color=color, ha="center", va="bottom", fontsize="small", zorder=4)
        note.set_path_effects(_HALO)


def label_line(
    line: "Line2D", text: str, x: float, *, offset: tuple[float, float] = (0, 4), **properties: Any
) -> "Annotation":
    """Write `text` on a curve, in its colour, where its first coordinate is `x`.

    Parameters
    ----------
    line : matplotlib.lines.Line2D
        The curve, as returned by `ax.plot`. Its x data must be monotone.
    text : str
    x : float
        Place along the curve; between the points of the curve its height is interpolated.
    offset : tuple of float, default (0, 4)
        Displacement of the text in points.
    **properties
        Anything that matplotlib's Text takes, such as `ha` or `rotation`.

    Returns
    -------
    matplotlib.text.Annotation

    Raises
    ------
    ValueError
        If `x` is outside the curve.
    """
    xs, ys = (np.asarray(data, dtype=float) for data in line.get_data())
    order = np.argsort(xs)
    if not xs[order[0]] <= x <= xs[order[-1]]:
        raise ValueError(f"x must be within the curve, [{xs[order[0]]}, {xs[order[-1]]}], got {x!r}")
    y = np.interp(x, xs[order], ys[order])
    properties = {"color": line.get_color(), "ha": "center", "va": "bottom", "zorder": 4} | properties
    note = line.axes.annotate(text, (x, y), xytext=offset, textcoords="offset points", **properties)
    note.set_path_effects(_HALO)
    return note


def slider_figure(
    draw: "Callable[..., Figure]", values: dict, *, alt: str, start: tuple | None = None, colors: int = 32
) -> Any:
    """Show a figure that follows a few sliders, with a kernel or without.

    Every figure is drawn now and travels with the page, so keep the grid small: a frame takes about 15 kB. A browser
    without scripts shows the first.

    Parameters
    ----------
    draw : callable
        ``draw(first, second, ...)``, with a value for each slider, returns a new matplotlib Figure. All must have the
        same size and should have the same axis limits, or the eye cannot compare them.
    values : dict
        The text beside each slider, and its values in order: `{"rank ρ": [0.1, 0.2]}`. At least one entry.
    alt : str
        What there is to see, for those who cannot. The values are appended.
    start : tuple, optional
        The values shown first, one a slider; the first of each by default.
    colors : int, default 32
        Size of the palette of each frame.

    Returns
    -------
    ipywidgets.VBox

    Raises
    ------
    ValueError
        If `values` or one of its lists is empty, or `start` is not among them.
    """
    import ipywidgets as widgets

    if not values or not all(len(options) for options in values.values()):
        raise ValueError(f"values must hold at least one list, and none that is empty, got {values!r}")
    grids = [list(options) for options in values.values()]
    start = tuple(grid[0] for grid in grids) if start is None else tuple(start)
    if start not in product(*grids):
        raise ValueError(f"start must be one of the values of each slider, got {start!r}")

    sliders = [
        widgets.SelectionSlider(
            options=[(f"{value:g}", value) for value in grid],
            value=first,
            description=name,
            continuous_update=True,
            layout=widgets.Layout(width="90%"),
            style={"description_width": "initial"},
        )
        for name, grid, first in zip(values, grids, start, strict=True)
    ]

    pictures = {}

    def view(*point):
        """The frame at a point, or what the next slider chooses from if the point is not complete."""
        if len(point) == len(grids):
            where = ", ".join(f"{name} = {value:g}" for name, value in zip(values, point, strict=True))
            pictures[point] = _image_tag(draw(*point), f"{alt} ({where})", colors)
            return widgets.HTML(pictures[point])
        slider = sliders[len(point)]
        pages = widgets.Stack([view(*point, value) for value in grids[len(point)]], selected_index=slider.index)
        widgets.jslink((slider, "index"), (pages, "selected_index"))
        return pages

    explorer = widgets.VBox([*sliders, view()])
    _show_without_scripts(pictures[start])
    return explorer


def _show_without_scripts(picture):
    """What a static page shows to readers whose browser runs no scripts; others do not see it."""
    from IPython import get_ipython
    from IPython.display import HTML, display

    if get_ipython() is not None:
        display(HTML(f"<noscript>{picture}</noscript>"))


def _image_tag(figure, alt, colors):
    """The figure as an <img> with its pixels inside, reduced to a palette, three to two pixels of the page."""
    import matplotlib.pyplot as plt
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(1.5 * PIXELS_PER_INCH)
    canvas.draw()
    plt.close(figure)
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    file = io.BytesIO()
    pixels.quantize(colors, dither=Image.Dither.NONE).save(file, format="webp", lossless=True, quality=100)
    source = b64encode(file.getvalue()).decode()
    width = round(figure.get_figwidth() * PIXELS_PER_INCH)
    return (
        f'<img src="data:image/webp;base64,{source}" alt="{html.escape(alt)}" '
        f'style="width: {width}px; max-width: 100%">'
    )
