"""What a fit says of itself."""

__all__ = ["summary_of"]

_CLEAR = 2.0  # standard errors from which on a difference is called one


def summary_of(estimator):
    """The data, the models compared, the one returned, and whether a low rank gains anything."""
    L, d = estimator.tokens_shape_
    lines = [
        f"{estimator.n_samples_} sequences of {L} tokens of dimension {d}.",
        f"{estimator.entries_} entries vary; the participation number is {estimator.participation_:.0f}.",
    ]
    if 1 in (L, d):
        lines.append("They have no rank to speak of: if X came in rows of L d entries, give shape=(L, d).")
    table = estimator.comparison_
    if len(table):
        lines += ["", f"Cross-validated {estimator._score_name}:", _table(table), "", _verdict(estimator, table)]
    lines += ["", _returned(estimator)]
    if hasattr(estimator, "r_hat_"):
        state = "agree" if estimator.converged_ else "do NOT agree: more sweeps are needed"
        lines.append(
            f"Chains {state}: R-hat {estimator.r_hat_:.3f}, "
            f"effective sample size {estimator.effective_sample_size_:.0f}."
        )
    return "\n".join(lines)


def _table(table):
    width = max(map(len, table.index))
    lines = [f"  {'':{width}}    score  difference to the one returned"]
    for name, row in table.iterrows():
        behind = "" if row["error"] == 0.0 else f"{row['difference']:7.4f} +- {row['error']:.4f}"
        lines.append(f"  {name:{width}}  {row['score']:7.4f}  {behind}".rstrip())
    return "\n".join(lines)


def _verdict(estimator, table):
    """On low rank against ridge, each at its best."""
    is_ridge = table.index.str.startswith("ridge")
    if is_ridge.all() or estimator.chosen_.startswith("ridge"):
        return (
            "A low rank gains nothing here: ridge is returned."
            if estimator._fitted_method == "auto"
            else f"Nothing was compared with ridge but {estimator.chosen_}."
        )
    rival = table[is_ridge]["score"].idxmax()
    gain, error = -table.loc[rival, "difference"], table.loc[rival, "error"]
    if gain > _CLEAR * error:
        return f"A low rank gains {gain:.4f} +- {error:.4f} over {rival}."
    if gain < -_CLEAR * error:
        return (
            f"{estimator.chosen_} loses {-gain:.4f} +- {error:.4f} against {rival}, which would be the better choice."
        )
    return f"No clear gain here: {gain:.4f} +- {error:.4f} over {rival}, which is simpler."


def _returned(estimator):
    text = f"Returned: {estimator.chosen_}"
    if estimator.chosen_.startswith("ridge"):
        return text + "."
    rank = estimator.rank_
    return text + f", rank {rank if isinstance(rank, int) else ', '.join(map(str, rank))}."
