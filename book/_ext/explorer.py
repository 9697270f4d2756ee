"""The explorer of chapter 18: a directive for its place in a page, and the data that its scripts need.

What a label tells is a series, made here from the package. The runs are those of the tables of `experiments`, and costs
those of the page on numerics. All of it is written into the built book as a script, because a page that is opened as a
file may not fetch data. Scripts and styles go to pages with an explorer and to no other.
"""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
from docutils import nodes
from numpy.polynomial import Chebyshev
from sphinx.util.docutils import SphinxDirective

from bsr import channels

SCRIPTS = ("law.js", "methods.js", "data.js", "view.js")
RIGHT_ANGLE = 0.5 * math.pi
LARGE = ("fig3", "fig5", "fig5_beta", "fig5_rho", "channels")  # runs that are drawn where the parameters are theirs
DESCENTS = ("fig6", "fig6_noise_50")  # likewise, of gradient descent from the prior


def series(function):
    """Chebyshev series in theta, sin(theta)^2 = q, of a function of q and 1 - q: its coefficients and domain."""
    fitted = Chebyshev.interpolate(
        lambda theta: function(np.sin(theta) ** 2, np.cos(theta) ** 2), 32, [0.0, RIGHT_ANGLE]
    ).trim(1e-10)
    return {"coefficients": fitted.coef.round(11).tolist(), "low": 0.0, "high": RIGHT_ANGLE}


def labels():
    """Series of the information in a sign and in a modulus, with the factors of `bsr.channels` taken out."""
    sign, modulus = channels.Sign(), channels.Abs()
    return {
        "sign": series(lambda q, error: sign.information(error=error) * np.sqrt(error)),
        "modulus": series(lambda q, error: modulus.information(error=error) * error / q),
    }


def channel_of(text):
    """Kind and parameters of the channel that a table calls `Sign(delta=0.1)`, or None for linear labels."""
    if not isinstance(text, str):
        return None
    channel = eval(text, vars(channels))
    return type(channel).__name__.lower(), dataclasses.astuple(channel)


def rows(results, names):
    """Rows of tables, each with the ratios of its whole-numbered sizes; errors in units of the teacher's own square."""
    for name in names:
        for row in pd.read_csv(results / f"{name}.csv", comment="#").to_dict("records"):
            known = row["estimator"] in ("gamp_rie", "nuclear_norm", "gradient_descent")
            if known and math.isfinite(row["relative_error"]):  # not so where every run diverged
                d, L = row["d"], row["L"]
                row |= {"beta": L / d, "rho": row["r"] / min(d, L), "alpha": row["n"] / (d * L)}
                yield row


def runs(results):
    """Errors of runs: by kind of labels, method and step, points (alpha, d, error, its standard error)."""
    groups = {}
    for row in rows(results, LARGE + DESCENTS):
        kind, parameters = channel_of(row.get("option_channel")) or ("linear", (float(row["delta"]),))
        step = row.get("option_lr") if row["estimator"] == "gradient_descent" else None
        key = row["estimator"], kind, parameters, row["beta"], row["rho"], step
        point = [row["alpha"], row["d"], row["relative_error"], row["relative_error_se"]]
        groups.setdefault(key, []).append([float(f"{value:.4g}") for value in point])
    names = "method", "channel", "parameters", "beta", "rho", "step"
    return [
        dict(zip(names, key, strict=True), points=sorted(points)) for key, points in sorted(groups.items(), key=str)
    ]


def costs(record):
    """What a fit takes, from the record of benchmarks: seconds, in the units that `costOf` of view.js multiplies."""
    values = json.loads(record.read_text(encoding="utf-8"))["values"]
    one = {key: float(np.mean(entry["value"])) for key, entry in values.items()}
    entries, few, many = 100**2, 4500, 5000  # sizes of the fits that were timed: d = L = 100, alpha = 0.45 and 0.5
    iteration = one["gamp.pass_per_entry"] * few * entries + one["gamp.svd"]
    return {
        "pass": one["gamp.pass_per_entry"],
        "svd": one["gamp.svd_constant"],
        "gamp_iterations": one["gamp.iterations"],
        "nuclear_norm_iterations": one["nuclear_norm.fit_100"] / iteration,
        "ridge": one["growth.ridge_100"] / (many**2 * entries),
        "channels": {kind: one[f"channels.{kind}"] for kind in ("sign", "relu", "abs", "logistic", "poisson")},
    }


class explorer(nodes.General, nodes.Element):
    """The place of an explorer in a page."""


class Explorer(SphinxDirective):
    """`{explorer} NAME`: the explorer, which replaces the figure of this name where scripts run."""

    required_arguments = 1

    def run(self):
        return [explorer(replaces=self.arguments[0])]


def visit(translator, node):
    translator.body.append(f'<div class="bsr-explorer" data-replaces="{node["replaces"]}"></div>')
    raise nodes.SkipNode


def skip(translator, node):
    raise nodes.SkipNode


def add_scripts(app, pagename, templatename, context, doctree):
    if doctree is not None and next(doctree.findall(explorer), None):
        for name in SCRIPTS:
            app.add_js_file(f"explorer/{name}", loading_method="defer")
        app.add_css_file("explorer/explorer.css")


def write_data(app):
    """Before pages are written: Sphinx adds the data's checksum to its address."""
    if app.builder.format != "html":
        return
    results = Path(app.srcdir, "experiments", "results")
    record = Path(app.srcdir, "tests", "benchmarks", "measured.json")
    data = labels() | {"runs": runs(results), "cost": costs(record)}
    path = Path(app.outdir, "_static", "explorer", "data.js")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"bsr.data = {json.dumps(data, separators=(',', ':'))};\n", encoding="utf-8")


def setup(app):
    app.add_node(explorer, html=(visit, None), latex=(skip, None), text=(skip, None))
    app.add_directive("explorer", Explorer)
    app.connect("html-page-context", add_scripts, priority=400)  # before scripts are listed once
    app.connect("builder-inited", write_data)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
