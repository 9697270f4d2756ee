"""Bracketed roots of rising functions, for kernels, which can take no function as an argument."""

import math

from bsr._compile import kernel


@kernel()
def secant_step(x, f, x_old, f_old, lo, hi):
    """The bracket (lo, hi) that f = f(x) leaves, and the secant's estimate of the root: NaN where it gives none.

    The function rises through 0 in (lo, hi). At the first step there is no older point: x_old = nan, or a point that
    gives the secant a likely slope.
    """
    if f > 0.0:
        hi = x
    else:
        lo = x
    slope = (f - f_old) / (x - x_old)
    return lo, hi, x - f / slope if slope > 0.0 else math.nan


@kernel()
def safeguarded(secant, x, lo, hi, reach, bisect):
    """Where to evaluate next: at the secant's estimate if it lies in the bracket and it is not time to bisect.

    To bisect now and then guarantees the end. A bracket may be endless, or so wide that its middle says nothing: no
    step goes farther than `reach` from x. The secant's would where the function is flat.
    """
    if bisect or not lo < secant < hi or abs(secant - x) > reach:
        return 0.5 * (max(lo, x - reach) + min(hi, x + reach))
    return secant
