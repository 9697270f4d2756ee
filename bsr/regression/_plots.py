"""Pictures of a fit, in the style of `bsr.plotting`."""

import numpy as np

__all__ = ["plot_comparison", "plot_factors", "plot_learning_curve"]

_MANY = 12  # names that fit below an axis
_CURVE = 60  # points of a curve


def plot_factors(model, components, positions, channels):
    """A row for each component: what it reads at which position, and in which channel."""
    import matplotlib.pyplot as plt

    from bsr.plotting import COLORS, STYLE

    factors = model.factors_[0] if isinstance(model.factors_, list) else model.factors_
    U, V = factors
    count = min(components, U.shape[1])
    if count == 0:
        raise ValueError(f"there are no components to plot: the model returned is {model.chosen_!r}, of rank 0")
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(count, 2, figsize=(7.2, 1.5 + 1.3 * count), squeeze=False, sharex="col")
        for k, row in enumerate(axes):
            for ax, factor, names in zip(row, (U, V), (positions, channels), strict=True):
                ax.bar(np.arange(len(factor)), factor[:, k], color=COLORS[0])
                ax.axhline(0.0, color="0.4", linewidth=0.7)
                _name(ax, names, len(factor))
            row[0].set_ylabel(f"component {k + 1}")
        axes[-1, 0].set_xlabel("position")
        axes[-1, 1].set_xlabel("channel")
    return figure


def _name(ax, names, size):
    if names is None:
        return
    if len(names) != size:
        raise ValueError(f"there must be a name for each of {size} places, got {len(names)}")
    step = -(-size // _MANY) if max(map(len, map(str, names))) > 1 else 1
    ax.set_xticks(np.arange(0, size, step), [str(name) for name in names[::step]], fontsize="small")


def plot_comparison(model, ax):
    """Cross-validated scores behind that of the model returned, with the errors of the differences."""
    import matplotlib.pyplot as plt

    from bsr.plotting import COLORS, STYLE

    table = model.comparison_.sort_values("score")
    if not len(table):
        raise ValueError("there is no comparison to plot: the parameter compare is False")
    with plt.rc_context(STYLE):
        ax = ax or plt.subplots(figsize=(5.8, 1.2 + 0.4 * len(table)))[1]
        for place, (name, row) in enumerate(table.iterrows()):
            color = COLORS[1] if name == model.chosen_ else COLORS[0]
            ax.errorbar(row["score"], place, xerr=row["error"], fmt="o", color=color, elinewidth=1)
        ax.set_yticks(np.arange(len(table)), table.index)
        ax.set_ylim(-0.6, len(table) - 0.4)
        ax.set_xlabel(f"cross-validated {model._score_name}")
    return ax


def plot_learning_curve(model, n, spectrum, ax):
    """Predicted errors of new labels, beyond this fit with the scatter of a plan, and where this fit stands."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullLocator

    from bsr.plotting import COLORS, STYLE

    if n is None:
        n = np.unique(np.geomspace(max(10, model.n_samples_ / 4), 8 * model.n_samples_, _CURVE).astype(int))
    table = model.plan(n, spectrum)
    with plt.rc_context(STYLE):
        ax = ax or plt.subplots()[1]
        for name, color in zip(table.columns, COLORS, strict=False):
            ax.plot(table.index, table[name], color=color, label=name)
        ahead, off = table[table.index >= model.n_samples_], np.exp(table.attrs["scatter"])
        for name, color in (("ridge", COLORS[0]), ("optimal", COLORS[2])):
            ax.fill_between(ahead.index, ahead[name] / off, ahead[name] * off, color=color, alpha=0.12, linewidth=0)
        here = [(row, model._power * (1.0 - score)) for row, score in model.comparison_["score"].items()]
        learned = model.n_samples_ * model._share_learned
        for (name, error), marker in zip(here, "os^Dv", strict=False):
            ax.plot(learned, error, marker, color="black", markerfacecolor="white", label=f"{name}, held out")
        ax.axhline(model._plan(False).noise, color="0.4", linestyle=":", linewidth=1, label="noise")
        ax.set(xscale="log", xlabel="number of samples $n$", ylabel="squared error of new labels")
        ticks = model.n_samples_ * 2.0 ** np.arange(-9, 10)
        low, high = ax.get_xlim()
        ax.set_xticks([t for t in ticks if low <= t <= high], [f"{t:.0f}" for t in ticks if low <= t <= high])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_ylim(0.0, 1.2 * model._power)
        ax.legend(fontsize="small")
    return ax
