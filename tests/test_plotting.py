"""The helpers draw what they are asked for, where they are asked to, and the slider needs no kernel."""

import io
import re
from base64 import b64decode
from importlib.util import find_spec

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from nbclient import NotebookClient
from PIL import Image

from bsr import plotting

mpl.use("agg")
sliders = pytest.mark.skipif(find_spec("ipywidgets") is None, reason="sliders need the extra book")


@pytest.fixture
def ax():
    with mpl.rc_context(plotting.STYLE):
        figure, ax = plt.subplots()
        yield ax
        plt.close(figure)


def linear(color):
    c = np.array(to_rgb(color))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


# Linear RGB as protanopes and deuteranopes see it: Machado, Oliveira and Fernandes (2009), severity 1.
PROTAN = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTAN = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


@pytest.mark.parametrize("vision", [np.eye(3), PROTAN, DEUTAN], ids=["normal", "protan", "deutan"])
def test_colours_are_told_apart(vision):
    seen = [np.clip(np.array(vision) @ linear(color), 0, 1) ** (1 / 2.2) for color in plotting.COLORS]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(distances) > 0.15


def test_colours_stand_out_from_white():
    luminances = [linear(color) @ [0.2126, 0.7152, 0.0722] for color in plotting.COLORS]
    assert all(1.05 / (luminance + 0.05) > 2 for luminance in luminances)


def test_shades_are_ordered_by_lightness():
    luminances = [linear(color) @ [0.2126, 0.7152, 0.0722] for color in plotting.shades(6)]
    assert np.all(np.diff(luminances) > 0)


def test_use_style_sets_the_style():
    with mpl.rc_context():
        plotting.use_style()
        assert tuple(mpl.rcParams["axes.prop_cycle"].by_key()["color"]) == plotting.COLORS
        assert mpl.rcParams["figure.figsize"] == [5.8, 3.9]


def test_use_style_starts_from_the_defaults_of_matplotlib():
    with mpl.rc_context({"text.usetex": True, "axes.titlesize": 30, "figure.max_open_warning": 1}):
        plotting.use_style()
        changed = {name for name, value in mpl.rcParams.items() if value != mpl.rcParamsDefault[name]}
        assert changed - {"backend", "backend_fallback", "interactive"} <= set(plotting.STYLE)
        assert not mpl.rcParams["text.usetex"]
        assert mpl.rcParams["figure.max_open_warning"] == mpl.rcParamsDefault["figure.max_open_warning"]


@pytest.mark.slow
def test_figures_appear_in_a_notebook_whatever_the_surroundings_say(tmp_path, monkeypatch):
    """A backend in the environment, and settings that would end the chapter: LaTeX for every text, and no LaTeX."""
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nbackend: pdf\n")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("PATH", str(tmp_path))
    cells = [
        "import matplotlib.pyplot as plt\nplt.figure()\nfrom bsr import plotting\nplotting.use_style()",
        "_, ax = plt.subplots()\nax.set(xlabel='x');",
        "ax.plot([0, 1]);\nax.figure",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    kinds = [[kind for output in cell.outputs for kind in output.get("data", ())] for cell in notebook.cells]
    assert [kind.count("image/svg+xml") for kind in kinds[1:]] == [1, 1]


def test_experiment_draws_the_error_bars_it_is_given(ax):
    low, high = np.array([0.1, 0.2]), np.array([0.3, 0.4])
    points, _, (bars,) = plotting.experiment(ax, [1, 2], [5, 6], [low, high], open=True, color="#D55E00")
    ends = np.array(bars.get_segments())[:, :, 1]
    np.testing.assert_allclose(ends, [[4.9, 5.3], [5.8, 6.4]])
    assert points.get_markerfacecolor() == "white"
    assert points.get_markeredgecolor() == "#D55E00"


def test_threshold_stands_on_the_axis_and_leaves_the_heights_alone(ax):
    ax.plot([0, 1], [3, 4])
    heights = ax.get_ylim()
    plotting.threshold(ax, 2.5, "critical", height=0.1)
    assert ax.get_ylim() == heights
    assert ax.get_xlim()[1] > 2.5
    foot, top = ax.lines[-1].get_transform().transform(ax.lines[-1].get_xydata())
    np.testing.assert_allclose(foot, ax.transData.transform((2.5, heights[0])))
    np.testing.assert_allclose(top[1] - foot[1], 0.1 * ax.get_window_extent().height)


def test_label_sits_on_its_line(ax):
    (line,) = ax.plot([4, 2, 0], [16, 4, 0], color="#009E73")
    note = plotting.label_line(line, "square", 3)
    assert note.xy == (3, 10)
    assert note.get_color() == "#009E73"
    assert plotting.label_line(line, "end", 4, ha="left").get_ha() == "left"
    with pytest.raises(ValueError, match=r"x must be within the curve, \[0.0, 4.0\], got 5"):
        plotting.label_line(line, "nowhere", 5)


def painted(red, blue=0.0):
    """A figure all in one colour, which says for which values it was drawn."""
    figure = plt.figure(figsize=(2, 1))
    figure.set_facecolor((red, 0.0, blue))
    return figure


def picture(frame):
    source = re.search(r"base64,([^\"]+)\"", frame.value)[1]
    return Image.open(io.BytesIO(b64decode(source)))


def colour(frame):
    red, green, blue = np.array(picture(frame).convert("RGB").getpixel((5, 5))) / 255
    assert green == 0
    return round(red, 1), round(blue, 1)


def links():
    """(source, target) of every link that a page would carry with it."""
    from ipywidgets.embed import embed_data

    state = embed_data(views=None)["manager_state"]["state"].values()
    return [
        (tuple(model["state"]["source"]), tuple(model["state"]["target"]))
        for model in state
        if model["model_name"] == "LinkModel"
    ]


def linked(slider, stack):
    return ((f"IPY_MODEL_{slider.model_id}", "index"), (f"IPY_MODEL_{stack.model_id}", "selected_index")) in links()


@sliders
def test_slider_shows_the_frame_of_its_value():
    view = plotting.slider_figure(painted, {"ρ": [0.0, 0.2, 0.4]}, alt="A <square>", start=(0.2,))
    slider, stack = view.children
    assert linked(slider, stack)
    assert [label for label, _ in slider.options] == ["0", "0.2", "0.4"]
    assert slider.index == stack.selected_index == 1
    assert [colour(frame)[0] for frame in stack.children] == [0.0, 0.2, 0.4]
    assert 'alt="A &lt;square&gt; (ρ = 0.4)"' in stack.children[2].value
    assert 'style="width: 192px' in stack.children[0].value
    assert picture(stack.children[0]).size == (288, 144)  # three for two that the page asks for
    assert plt.get_fignums() == []


@sliders
def test_two_sliders_show_the_frame_of_their_values():
    values = {"ρ": [0.0, 0.2], "β": [0.4, 0.6, 0.8]}
    view = plotting.slider_figure(painted, values, alt="A square", start=(0.2, 0.4))
    first, second, rows = view.children
    assert linked(first, rows)
    assert all(linked(second, row) for row in rows.children)
    assert (first.value, second.value) == (0.2, 0.4)
    assert rows.selected_index == 1
    for red, row in zip(values["ρ"], rows.children, strict=True):
        assert row.selected_index == 0
        assert [colour(frame) for frame in row.children] == [(red, blue) for blue in values["β"]]


@sliders
def test_three_sliders_choose_one_after_the_other():
    values = {"ρ": [0.0, 0.2], "β": [0.4, 0.6], "Δ": [0.0, 1.0, 2.0]}

    def drawn(rho, beta, delta):
        return painted(rho, beta + 0.1 * delta)

    view = plotting.slider_figure(drawn, values, alt="A square", start=(0.2, 0.4, 2.0))
    *three, outer = view.children
    assert [slider.value for slider in three] == [0.2, 0.4, 2.0]
    assert linked(three[0], outer)
    for red, middle in zip(values["ρ"], outer.children, strict=True):
        assert linked(three[1], middle)
        for beta, inner in zip(values["β"], middle.children, strict=True):
            assert linked(three[2], inner)
            assert inner.selected_index == 2
            assert [colour(frame) for frame in inner.children] == [
                (red, pytest.approx(beta + 0.1 * delta)) for delta in values["Δ"]
            ]


@sliders
def test_frames_keep_the_colours_of_thin_curves():
    def curves(_):
        with mpl.rc_context(plotting.STYLE):
            figure, ax = plt.subplots()
            x = np.linspace(0, 1)
            for k, color in enumerate(plotting.COLORS):
                ax.plot(x, np.exp(-k * x), "--", color=color, label=f"number {k}")
            ax.legend()
        return figure

    view = plotting.slider_figure(curves, {"ρ": [0.1]}, alt="Curves")
    pixels = np.array(picture(view.children[1].children[0]).convert("RGB")).reshape(-1, 3) / 255
    for color in plotting.COLORS:
        assert np.abs(pixels - to_rgb(color)).max(axis=1).min() < 0.02


@sliders
@pytest.mark.parametrize(
    ("values", "start", "message"),
    [
        ({}, None, "values must hold at least one list, and none that is empty"),
        ({"ρ": []}, None, "values must hold at least one list, and none that is empty"),
        ({"ρ": [0.1]}, (0.2,), r"start must be one of the values of each slider, got \(0.2,\)"),
        ({"ρ": [0.1], "β": [1]}, (0.1,), "start must be one of the values"),
    ],
)
def test_slider_refuses_what_it_cannot_show(values, start, message):
    with pytest.raises(ValueError, match=message):
        plotting.slider_figure(painted, values, alt="A square", start=start)
