r"""The algebraic curve of the law of the noisy teacher's singular values, uniformised.

For Y = (S + sqrt(noise) Z) / (dL)^(1/4) with b = max(beta, 1/beta) and y = sqrt(b) x^2 (eigenvalues of the short-side
covariance of S + sqrt(noise) Z, per short dimension), the law has one complex parameter kappa:

    p = rho / (kappa - 1) + rho noise / kappa,        y = kappa (1 + p) (b + p) / rho,        p = x G(x) - 1,

G being the Stieltjes transform of the symmetrised law. Everything below follows from the shape of the real map
kappa -> y, which has exactly five critical points (book, chapter 4):

- on (-inf, 0) it has one positive hump: its top is the lower edge of the spectrum (0 if b = 1);
- on (0, 1) it falls from +inf to a zero kappa_1, is negative until kappa_b, and rises to +inf;
- on (0, kappa_1) it may have one minimum and one maximum: the edges of a gap between two bulks;
- on (1, inf) it is convex: its minimum is the upper edge.

So an edge is always a bracketed, simple root. Inside the support the quartic y(kappa) = y has exactly one real root in
(0, kappa_1), one in (kappa_b, 1) and one complex pair, which is the law.
"""

import math

import numpy as np

from bsr._compile import kernel


@kernel()
def within_reach(b, rho, noise):
    """Whether the arithmetic below is safe from overflow and from divisions of 0 by 0."""
    return b <= 1e15 and 1e-13 <= rho <= 1e15 and 1e-40 <= noise <= 1e80


# ---------------------------------------------------------------------------------------------------------------------
# The map kappa -> y on the real line: zeros, critical points, edges


@kernel()
def p_of_kappa(kappa, rho, noise):
    return rho / (kappa - 1.0) + rho * noise / kappa


@kernel()
def y_of_kappa(kappa, b, rho, noise):
    p = p_of_kappa(kappa, rho, noise)
    return kappa * (1.0 + p) * (b + p) / rho


@kernel()
def zeros(b, rho, noise):
    """The negative and the positive zero of b + p, that is of b kappa^2 + (rho + rho noise - b) kappa - rho noise."""
    half = 0.5 * (rho + rho * noise - b)
    root = math.sqrt(half * half + b * rho * noise)
    if half > 0.0:
        return -(half + root) / b, rho * noise / (half + root)
    return -rho * noise / (root - half), (root - half) / b


@kernel()
def _slope(kappa, b, rho, noise):
    """rho dy/dkappa, divided where p > -1 by 1 + b + 2p > 0, which keeps its zeros simple at b = 1 too."""
    u = 1.0 + p_of_kappa(kappa, rho, noise)
    kappa_dp = -rho * kappa / (kappa - 1.0) ** 2 - rho * noise / kappa
    width = 2.0 * u + b - 1.0
    if u > 0.0:
        return u * (u + b - 1.0) / width + kappa_dp
    return u * (u + b - 1.0) + kappa_dp * width


@kernel()
def _critical_point(lo, hi, b, rho, noise):
    """Zero of the slope between lo and hi, where it changes sign: false position, halved (Illinois) and bisected."""
    f_lo, f_hi = _slope(lo, b, rho, noise), _slope(hi, b, rho, noise)
    kappa = lo
    for i in range(200):
        secant = (lo * f_hi - hi * f_lo) / (f_hi - f_lo)
        kappa = secant if i % 4 < 3 and lo < secant < hi else 0.5 * (lo + hi)
        f = _slope(kappa, b, rho, noise)
        if f == 0.0 or hi - lo <= 4e-16 * abs(kappa):
            break
        if (f > 0.0) == (f_lo > 0.0):
            lo, f_lo, f_hi = kappa, f, 0.5 * f_hi
        else:
            hi, f_hi, f_lo = kappa, f, 0.5 * f_lo
    return kappa


@kernel()
def _saddle(b, rho, noise):
    """The kappa in (0, kappa_1) where the slope is positive if it is anywhere there, or 0 where it cannot be.

    kappa^2 dy/dkappa + rho noise^2 is stationary where (b/rho) e^4 - (1 + b + 2 rho + 2 rho noise) e + 3 rho = 0 with
    e = 1 - kappa. This is convex in e, so Newton's method from e = 1 falls monotonically onto the root that matters.
    """
    if rho >= 1.0 or (1.0 - rho) * (b - rho) <= 2.0 * rho * rho * noise:
        return 0.0
    linear = 1.0 + b + 2.0 * rho + 2.0 * rho * noise
    e = 1.0
    for _ in range(100):
        step = ((b / rho) * e**4 - linear * e + 3.0 * rho) / (4.0 * (b / rho) * e**3 - linear)
        e -= step
        if not step > 1e-15 * e:
            break
    return 1.0 - e if 0.0 < 1.0 - e < zeros(1.0, rho, noise)[1] else 0.0


@kernel()
def critical_points(b, rho, noise):
    """kappa at the lower edge, the two edges of the gap, and the upper edge.

    Without a gap the middle pair is (saddle, saddle), or (0, 0) if there is no saddle.
    """
    out = np.empty(4)
    zero_1, kappa_1 = zeros(1.0, rho, noise)
    zero_b, _ = zeros(b, rho, noise)
    lo, hi = min(zero_1, zero_b), max(zero_1, zero_b)
    out[0] = _critical_point(lo, hi, b, rho, noise) if lo < hi else lo

    saddle = _saddle(b, rho, noise)
    out[1] = out[2] = saddle
    if saddle > 0.0 and _slope(saddle, b, rho, noise) > 0.0:
        # At b = 1 the slope's sign at kappa_1 itself is a matter of rounding.
        end = kappa_1 - 1e-9 * (kappa_1 - saddle)
        start = saddle
        while _slope(start, b, rho, noise) > 0.0:
            start *= 0.5
        out[1] = _critical_point(start, saddle, b, rho, noise)
        out[2] = _critical_point(saddle, end, b, rho, noise)

    # dy/dkappa = b/rho - c/t^2 - 2 rho/t^3 - rho noise^2/(1+t)^2 with t = kappa - 1: no term exceeds b/rho at the
    # root, and one of them is at least a third of it.
    c = 1.0 + b + rho + 2.0 * rho * noise
    start = 1.0 + 0.99 * math.sqrt(c * rho / b)
    end = 1.0 + max(math.sqrt(3.0 * c * rho / b), (6.0 * rho * rho / b) ** (1 / 3), rho * noise * math.sqrt(3.0 / b))
    out[3] = _critical_point(start, end, b, rho, noise)
    return out


@kernel()
def bulk_edges(critical, b, rho, noise):
    """Edges in y, as a (bulks, 2) array."""
    lower = max(0.0, y_of_kappa(critical[0], b, rho, noise)) if b > 1.0 else 0.0
    upper = y_of_kappa(critical[3], b, rho, noise)
    one, two = 0.0, 0.0
    if critical[2] > critical[1]:
        one, two = y_of_kappa(critical[1], b, rho, noise), y_of_kappa(critical[2], b, rho, noise)
    apart = lower < one < two < upper
    bulks = np.empty((2 if apart else 1, 2))
    bulks[0, 0], bulks[-1, 1] = lower, upper
    if apart:
        bulks[0, 1], bulks[1, 0] = one, two
    return bulks


# ---------------------------------------------------------------------------------------------------------------------
# Solving y(kappa) = y


@kernel()
def _real_root(y, lo, hi, sense, b, rho, noise):
    """The root in (lo, hi), where there is just one, of the quartic (1 + p)(b + p) kappa^2 e^2 - rho y kappa e^2.

    `sense` is 1.0 where the quartic rises and -1.0 where it falls: at an edge its sign at the ends is a matter of
    rounding. (A bool would be compiled once for each literal.)
    """
    linear_1, linear_b, constant = rho + rho * noise - 1.0, rho + rho * noise - b, rho * noise
    scale = rho * y
    kappa = 0.5 * (lo + hi)
    for _ in range(200):
        e = 1.0 - kappa
        left = kappa * (kappa + linear_1) - constant
        right = kappa * (b * kappa + linear_b) - constant
        f = left * right - scale * kappa * e * e
        slope = (2.0 * kappa + linear_1) * right + left * (2.0 * b * kappa + linear_b) - scale * e * (e - 2.0 * kappa)
        if sense * f < 0.0:
            lo = kappa
        else:
            hi = kappa
        new = kappa - f / slope if slope != 0.0 else lo
        if not lo < new < hi:
            new = 0.5 * (lo + hi)
        if abs(new - kappa) <= 1e-12 * abs(new):
            return new
        kappa = new
    return kappa


@kernel()
def _kappa_of_p(p, near, rho, noise):
    """The root of p kappa^2 - (p + rho + rho noise) kappa + rho noise = 0 that is closest to `near`."""
    half = 0.5 * (p + rho + rho * noise)
    root = np.sqrt(half * half - p * rho * noise)
    if (half * root.conjugate()).real < 0.0:
        root = -root
    one, other = (half + root) / p, rho * noise / (half + root)
    return one if abs(one - near) < abs(other - near) else other


@kernel()
def _continued_kappa(y, kappa, b, rho, noise):
    """Newton's method from the kappa of a neighbouring y. Any complex root it finds is the right one; 0 if it fails."""
    for _ in range(8):
        if kappa == 0.0 or kappa == 1.0:  # a pole: complex division by zero raises, unlike real division
            break
        p = p_of_kappa(kappa, rho, noise)
        product = (1.0 + p) * (b + p)
        kappa_dp = -rho * kappa / (kappa - 1.0) ** 2 - rho * noise / kappa
        step = (kappa * product - rho * y) / (product + kappa_dp * (1.0 + b + 2.0 * p))
        kappa -= step
        size = abs(step)
        if size <= 1e-8 * abs(kappa):  # quadratic convergence: this step was the last that mattered
            return kappa if size <= -1e-6 * kappa.imag and abs(1.0 + p) > 1e-3 else complex(0.0, 0.0)
    return complex(0.0, 0.0)


@kernel()
def _vieta_kappa(y, b, rho, noise):
    """The complex pair from the quartic's two real roots: its real part and its squared modulus."""
    total = rho + rho * noise
    real_1 = _real_root(y, 0.0, zeros(1.0, rho, noise)[1], -1.0, b, rho, noise)
    real_b = _real_root(y, zeros(b, rho, noise)[1], 1.0, 1.0, b, rho, noise)
    modulus2 = (rho * noise) ** 2 / (b * real_1 * real_b)
    # Twice the real part from the cubic or from the linear coefficient, whichever cancels less.
    cubic = (b + rho * y - total) / b + 1.0 - total
    linear = (2.0 * total - 1.0 - b + y / noise) / (rho * noise)
    if abs(cubic) + real_1 + real_b <= modulus2 * (abs(linear) + 1.0 / real_1 + 1.0 / real_b):
        return 0.5 * (cubic - real_1 - real_b), modulus2
    return 0.5 * modulus2 * (linear - 1.0 / real_1 - 1.0 / real_b), modulus2


@kernel()
def _complex_p(y, b, rho, noise):
    """p, with Im p > 0, for y inside the support, from no other knowledge.

    Newton's method works on u = 1 + p: where the spectrum comes close to 0 it is u that becomes small, and kappa could
    not resolve it.
    """
    # Close to 0 the saddle of a hard edge is the better start. Elsewhere: just below the real axis, by a margin where
    # rounding (or an edge) hides the imaginary part.
    zero, _ = zeros(1.0, rho, noise)
    dp_zero = -rho / (zero - 1.0) ** 2 - rho * noise / zero**2
    square = -rho * y / zero - 0.25 * (b - 1.0) ** 2
    if square > 0.0 and math.sqrt(square) + b - 1.0 < 1e-2 * abs(zero * dp_zero):
        kappa = complex(zero, 0.0)
        u = complex(0.5 * (1.0 - b), math.sqrt(square))
    else:
        real, modulus2 = _vieta_kappa(y, b, rho, noise)
        kappa = complex(real, -math.sqrt(max(modulus2 - real * real, 1e-10 * modulus2)))
        u = 1.0 + p_of_kappa(kappa, rho, noise)
    old_size = np.inf
    for _ in range(60):
        kappa = _kappa_of_p(u - 1.0, kappa, rho, noise)
        dkappa = -1.0 / (rho / (kappa - 1.0) ** 2 + rho * noise / kappa**2)
        product = u * (u + b - 1.0)
        step = (kappa * product - rho * y) / (dkappa * product + kappa * (2.0 * u + b - 1.0))
        u -= step
        # Convergence is quadratic (this step was the last that mattered), or, at an edge, limited by rounding.
        size = abs(step)
        if size <= 1e-8 * u.imag or (size > 0.8 * old_size and size < 1e-6 * abs(u)):
            break
        old_size = size
    p = complex(u.real - 1.0, max(u.imag, 0.0))
    return p, _kappa_of_p(p, kappa, rho, noise)


@kernel()
def physical_p(y, critical, bulks, neighbour, b, rho, noise):
    """p just below the real axis at y > 0 (complex inside the support, with Im p > 0; real outside), and its kappa.

    `neighbour` is the kappa of a close-by y, or 0.
    """
    inside = False
    for i in range(bulks.shape[0]):
        inside = inside or bulks[i, 0] < y < bulks[i, 1]
    if inside:
        kappa = _continued_kappa(y, neighbour, b, rho, noise) if neighbour.imag < 0.0 else complex(0.0, 0.0)
        if kappa.imag < 0.0:
            return p_of_kappa(kappa, rho, noise), kappa
        return _complex_p(y, b, rho, noise)
    # Outside, y rises with kappa on the physical branch, which ends at the critical points.
    if y >= bulks[-1, 1]:
        lo, hi = critical[3], 1.0 + rho * y / b
    elif y <= bulks[0, 0]:
        lo, hi = min(zeros(1.0, rho, noise)[0], zeros(b, rho, noise)[0]), critical[0]
    else:
        lo, hi = critical[1], critical[2]
    kappa = _real_root(y, lo, hi, 1.0 if hi > 0.0 else -1.0, b, rho, noise)
    return complex(p_of_kappa(kappa, rho, noise), 0.0), complex(kappa, 0.0)


@kernel()
def log_potential(kappa, b, rho, noise):
    """The average of log(y - t) over the law of t, at y = y(kappa): the elementary integral of (1 + p) dy / y.

    Its real part is the logarithmic potential of the law, on the support too.
    """
    p = p_of_kappa(kappa, rho, noise)
    poles = (1.0 - rho) * np.log(kappa) + rho * np.log(kappa - 1.0) - rho * noise / kappa
    long_side = (b - 1.0) * np.log(1.0 + p / b) if b > 1.0 else 0.0 * p
    return poles + 2.0 * p - long_side + math.log(b / rho)
