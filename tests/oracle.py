"""High-precision values of the spectral theory, to test `bsr` against.

It shares no code with the package and takes another route: the spectral quartic is solved in closed form
(Ferrari) in 150-digit arithmetic, the edges are roots of its exact discriminant, and the integrals are taken
by tanh-sinh quadrature. Needs mpmath only.

    python tests/oracle.py                 # add what is missing to tests/data/mmse_oracle.json: minutes
    >>> oracle.mmse("1e-3", "2", "0.2")    # one value to 20 digits: well under a second

Every input is `float(input)`, taken exactly. Here b = max(beta, 1/beta), and x stands for the singular values
of (S + sqrt(noise) Z)/(dL)^(1/4) divided by b^(1/4). With W = x² and U = G/x the quartic is the one of
arXiv 2410.18858 with zeta = 1, eta = 1 + noise.
"""

import json
import random
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from mpmath import mp, mpf

TABLE = Path(__file__).parent / "data" / "mmse_oracle.json"
WORK_DIGITS = 150


def _fraction(x):
    """The number as a Fraction: an mpf as it is, anything else (a decimal string, say) rounded to float64."""
    if isinstance(x, mpf):
        sign, mantissa, exponent, _ = x._mpf_
        return Fraction(int(-mantissa if sign else mantissa)) * Fraction(2) ** exponent
    return Fraction(float(x))


def _exact(noise, beta, rho):
    beta = _fraction(beta)
    return _fraction(noise), max(beta, 1 / beta), _fraction(rho)


def _to_mp(x):
    return mpf(x.numerator) / x.denominator


# --- The quartic and its branch points ---


def _quartic(noise, b, rho):
    """Coefficients (a0 … a4) of the powers of U, each a polynomial in W as {power: Fraction}."""
    phi, psi, zeta, eta = rho / b, rho, Fraction(1), 1 + noise
    return (
        {0: -(psi**3)},
        {0: psi * (zeta * (psi - phi) + psi * eta * (phi - psi)), 1: psi**3},
        {
            0: -(zeta**2) * (phi - psi) ** 2 + zeta * eta * (phi - psi) ** 2,
            1: zeta * psi * (2 * phi - psi) - eta * psi**2 * phi,
        },
        {1: -zeta * phi * (2 * zeta * (psi - phi) - 2 * eta * (psi - phi)), 2: -zeta * phi * psi},
        {2: zeta * phi**2 * (eta - zeta)},
    )


def _product(scale, *polynomials):
    result = {0: Fraction(scale)}
    for p in polynomials:
        terms = {}
        for i, x in result.items():
            for j, y in p.items():
                terms[i + j] = terms.get(i + j, 0) + x * y
        result = terms
    return result


def _sum(*polynomials):
    result = {}
    for p in polynomials:
        for i, x in p.items():
            result[i] = result.get(i, 0) + x
    return {i: x for i, x in result.items() if x}


def _branch_points(quartic):
    """All nonzero roots W of the discriminant, in twice the working precision."""
    a0, a1, a2, a3, a4 = quartic
    i = _sum(_product(12, a4, a0), _product(-3, a3, a1), _product(1, a2, a2))
    j = _sum(
        _product(72, a4, a2, a0),
        _product(9, a3, a2, a1),
        _product(-27, a4, a1, a1),
        _product(-27, a0, a3, a3),
        _product(-2, a2, a2, a2),
    )
    discriminant = _sum(_product(4, i, i, i), _product(-1, j, j))
    powers = range(max(discriminant), min(discriminant) - 1, -1)  # exact, so roots at W = 0 drop out
    with mp.workdps(2 * WORK_DIGITS):
        coefficients = [_to_mp(discriminant.get(k, Fraction(0))) for k in powers]
        return mp.polyroots(coefficients, maxsteps=3000, extraprec=8 * WORK_DIGITS)


def _root(quartic, x):
    """Real and imaginary part of G at x: the quartic's root of largest Im G (0 where all are real)."""
    w = x * x
    a0, a1, a2, a3, a4 = (sum(c * w**k for k, c in p.items()) for p in quartic)
    shift, c, d, e = a3 / a4 / 4, a2 / a4, a1 / a4, a0 / a4
    p = c - 6 * shift**2
    q = d - 2 * shift * c + 8 * shift**3
    r = e - shift * d + shift**2 * c - 3 * shift**4
    # Largest root m of m³ + p m² + (p²/4 − r) m − q²/8; with it y⁴ + p y² + q y + r is two real quadratics.
    slope, value = -(p**2) / 36 - r / 3, -(p**3) / 216 + p * r / 6 - q**2 / 16
    gap = value**2 + slope**3
    if gap < 0:
        m = 2 * mp.sqrt(-slope) * mp.cos(mp.acos(-value / mp.sqrt(-(slope**3))) / 3) - p / 3
    else:
        big = mp.cbrt(abs(value) + mp.sqrt(gap))
        m = (big - slope / big) * (-1 if value > 0 else 1) - p / 3
    s = mp.sqrt(2 * m)
    twice_im_squared = m + p + abs(q) / s
    if twice_im_squared <= 0:
        return mpf(0), mpf(0)
    u = mp.mpc(mp.sign(q) * s / 2 - shift, mp.sqrt(twice_im_squared / 2))
    step = ((((a4 * u + a3) * u + a2) * u + a1) * u + a0) / (((4 * a4 * u + 3 * a3) * u + 2 * a2) * u + a1)
    if abs(step) > abs(u.imag) * mpf(10) ** -32:
        raise ArithmeticError(f"quartic at x={mp.nstr(x, 8)}: {mp.dps} digits are not enough")
    return x * u.real, x * u.imag


def support(noise, beta, rho):
    """Intervals of the support on x ≥ 0, all branch points (complex x), and the mpf quartic."""
    quartic = _quartic(*_exact(noise, beta, rho))
    points = _branch_points(quartic)
    with mp.workdps(WORK_DIGITS):
        tiny = mpf(10) ** (-WORK_DIGITS // 2)
        real = sorted(+mp.re(w) for w in points if mp.re(w) > 0 and abs(mp.im(w)) < tiny * abs(w))
        ends = [mpf(0)] + [mp.sqrt(w) for w in real]
        numbers = [{k: _to_mp(c) for k, c in p.items()} for p in quartic]
        intervals = []
        for left, right in pairwise(ends):
            if _root(numbers, (left + right) / 2)[1] > 0:
                if intervals and intervals[-1][1] == left:
                    intervals[-1] = (intervals[-1][0], right)
                else:
                    intervals.append((left, right))
        return intervals, [mp.sqrt(mp.mpc(w)) for w in points], numbers


# --- Integrals over the spectrum ---


def _tanh_sinh(f, left, right, digits):
    """Integral of the vector-valued f; halve the step until two results agree to `digits` digits."""
    width, reach = right - left, mp.asinh((digits + 8) * mp.log(10) / mp.pi)

    def sample(s):
        distance = 1 / (1 + mp.exp(mp.pi * mp.sinh(abs(s))))  # to the nearer end, so nothing cancels there
        x = left + width * distance if s < 0 else right - width * distance
        weight = width * mp.pi * mp.cosh(s) * distance * (1 - distance)
        return [weight * v for v in f(x)]

    total, old = sample(mpf(0)), None
    for level in range(1, 13):
        h = mpf(1) / 2**level
        for k in range(1, int(reach / h) + 1):
            if level == 1 or k % 2:
                for s in (k * h, -k * h):
                    total = [t + v for t, v in zip(total, sample(s), strict=True)]
        new = [h * t for t in total]
        if level > 3 and all(abs(n - o) <= abs(n) * mpf(10) ** -digits for n, o in zip(new, old, strict=True)):
            return new
        old = new
    raise ArithmeticError(f"tanh-sinh did not converge on [{mp.nstr(left, 8)}, {mp.nstr(right, 8)}]")


def moments(noise, beta, rho, digits=20):
    """Whole-line integrals of mu, x² mu, mu/x², mu³ and (Re G)² mu, by quadrature on the quartic's root.

    At beta = 1 the third one diverges, and zero stands for it: it is multiplied by (b − 1)² = 0.
    """
    intervals, singularities, quartic = support(noise, beta, rho)
    square = _exact(noise, beta, rho)[1] == 1
    with mp.workdps(WORK_DIGITS):
        total = [mpf(0)] * 5
        for left, right in intervals:
            near = {abs(z) for z in singularities} | {abs(mp.re(z)) for z in singularities}
            margin = (right - left) * mpf(10) ** -25
            cuts = [left, *sorted(z for z in near if left + margin < z < right - margin), right]

            def integrands(x):
                hilbert, im = _root(quartic, x)
                mu = im / mp.pi
                return mu, x * x * mu, mpf(0) if square else mu / (x * x), mu**3, hilbert**2 * mu

            for a, c in pairwise(cuts):
                if c - a > margin:
                    part = _tanh_sinh(integrands, a, c, digits)
                    total = [t + 2 * v for t, v in zip(total, part, strict=True)]
        return total


def checks(noise, beta, rho, integrals):
    """Relative errors of what the integrals must satisfy exactly; all should be at rounding level.

    Mass 1; second moment 1 + noise; ∫(Re G)² mu = (pi²/3) ∫mu³ (G³ is analytic and decays like 1/z³); and,
    where b > 1, ∫mu/x² = −U(0), a root of the quartic at W = 0, which is then a quadratic.
    """
    mass, second, inverse, cube, hilbert = integrals
    noise, b, rho = (_to_mp(v) for v in _exact(noise, beta, rho))
    errors = [mass - 1, second / (1 + noise) - 1, hilbert / (mp.pi**2 * cube / 3) - 1]
    if b > 1:
        c0, c1, c2 = -(rho**3), -rho * (rho - rho / b) * (1 - rho * (1 + noise)), noise * (rho - rho / b) ** 2
        disc = mp.sqrt(c1**2 - 4 * c2 * c0)
        errors.append(inverse / ((disc - c1) / (2 * c2)) - 1)
    return [mp.nstr(e, 2) for e in errors]


def _combine(noise, beta, rho, integrals):
    noise, b, _ = (_to_mp(v) for v in _exact(noise, beta, rho))
    return noise - (noise / b) ** 2 * ((b - 1) ** 2 * integrals[2] + 4 * mp.pi**2 / 3 * integrals[3])


def mmse(noise, beta, rho, digits=20):
    """Error of the Bayes-optimal spectral denoiser of S + sqrt(noise) Z, as an mpf."""
    with mp.workdps(WORK_DIGITS):
        return _combine(noise, beta, rho, moments(noise, beta, rho, digits))


def bayes(alpha, beta, rho, delta, digits=24):
    """Bayes-optimal error and the noise 1/q_hat at its fixed point, alpha = (delta + MMSE(noise))/noise.

    Below strong recovery if delta = 0. A coarse bracketed root in log noise, then the secant method.
    """
    with mp.workdps(WORK_DIGITS):
        goal, delta = mpf(float(alpha)), mpf(float(delta))

        def excess(t, digits):
            noise = mp.exp(t)
            return mp.log((delta + mmse(noise, beta, rho, digits)) / noise / goal)

        high = mp.log((1 + delta) / goal)
        low = high - 1
        while excess(low, 10) < 0:
            low, high = low - 2 * (high - low), low
            if low < -80:
                raise ValueError(f"no error left at alpha={alpha}, beta={beta}, rho={rho}, delta={delta}")
        coarse = mp.findroot(lambda t: excess(t, 10), (low, high), solver="anderson", tol=mpf(10) ** -20)
        tol = mpf(10) ** (-2 * digits)
        t = mp.findroot(lambda t: excess(t, digits), (coarse, coarse + mpf(10) ** -9), solver="secant", tol=tol)
        noise = mp.exp(t)
        return mmse(noise, beta, rho, digits), noise


# --- The table ---


def merger(beta, rho):
    """Noise at which the two bulks of the spectrum meet (rho < 1): bisection on their number, 25 digits."""
    low, high = mpf(-40), mpf(40)
    with mp.workdps(40):
        for _ in range(100):
            middle = (low + high) / 2
            two = len(support(mp.exp(middle), beta, rho)[0]) == 2
            low, high = (middle, high) if two else (low, middle)
        return mp.exp(low)


def _rows(text):
    return [row.split() for row in text.split(",")]


def _spread(count, seed, *ranges):
    """Latin hypercube, even in the logarithm of each range, as decimal strings of 4 significant digits."""
    rng = random.Random(seed)
    columns = []
    for low, high in ranges:
        cells = rng.sample(range(count), count)
        columns.append([f"{low * (high / low) ** ((c + rng.random()) / count):.4g}" for c in cells])
    return zip(*columns, strict=True)


def denoising_points():
    """(case, noise, beta, rho) as strings."""
    for beta, rho in _rows("1 0.2, 2 0.1, 5 0.05, 1000 0.2, 1.001 0.9, 0.04 0.5"):
        critical = merger(beta, rho)
        for offset in ("1e-3", "1e-6", "1e-9"):
            for sign, side in ((-1, "split"), (1, "merged")):
                noise = repr(float(critical * (1 + sign * mpf(offset))))
                yield f"bulks just {side}, {offset}", noise, beta, rho
    for beta, rho in _rows("1 1, 1 0.3, 1.001 0.999, 1.001 1.001, 1.001 1, 30 1"):
        for noise in ("1e-8", "1e-5", "0.01", "1", "1e3"):
            yield "hard or nearly hard edge, rho near 1", noise, beta, rho
    for beta, rho in _rows("1 0.999, 1 1.001, 1 3, 0.999 1, 1000 0.999, 0.001 1.001"):
        for noise in ("1e-8", "1e-4", "0.3"):
            yield "degenerate shape", noise, beta, rho
    for beta in ("1", "1000", "0.001"):
        for rho in ("0.002", "40"):
            for noise in ("1e-8", "1e3"):
                yield "corner", noise, beta, rho
    for k, (noise, beta, rho) in enumerate(_spread(60, 1, (1e-8, 1e3), (1, 1000), (0.002, 40))):
        yield "spread", noise, (f"{1 / float(beta):.4g}" if k % 3 == 0 else beta), rho


def bayes_points():
    """(case, alpha, beta, rho, delta) as strings."""
    for point in _rows("0.02 1000 0.2 0.1, 0.085 5 0.1 0.1, 0.035 5 0.05 0"):
        yield "ill-conditioned edges in double precision", *point
    for beta, rho in _rows("1 0.2, 1 1, 1 3, 1.001 1.001, 4 0.5, 1000 0.05, 0.1 1"):
        b = max(float(beta), 1 / float(beta))
        strong = float(rho) * (1 + b - float(rho)) / b if float(rho) < 1 else 1.0
        for offset in (1e-2, 1e-4, 1e-6):
            alpha = f"{strong * (1 - offset):.10g}"
            yield f"noiseless, {offset:g} below strong recovery", alpha, beta, rho, "0"
    for alpha in ("0.005", "0.1", "0.5", "0.9"):
        yield "beta = rho = 1, noiseless", alpha, "1", "1", "0"
    for alpha in ("0.1", "0.36", "0.5", "2"):
        yield "small delta", alpha, "1", "0.2", "1e-6"
        yield "small delta", alpha, "10", "0.5", "1e-6"
    for alpha, delta in _rows("0.5 0, 0.99 1e-3, 1 1e-6, 5 0.1"):
        yield "large rho", alpha, "1", "40", delta
        yield "large rho", alpha, "50", "40", delta
    for k, point in enumerate(_spread(40, 2, (0.005, 5), (1, 1000), (0.002, 40), (1e-6, 2))):
        alpha, beta, rho, delta = point
        yield "spread", alpha, (f"{1 / float(beta):.4g}" if k % 3 == 0 else beta), rho, delta


def _denoising_values(noise, beta, rho):
    with mp.workdps(WORK_DIGITS):
        integrals = moments(noise, beta, rho, digits=24)
        errors = checks(noise, beta, rho, integrals)
        if any(abs(mpf(e)) > mpf(10) ** -22 for e in errors):
            raise ArithmeticError(f"checks fail at noise={noise}, beta={beta}, rho={rho}: {errors}")
        return [_combine(noise, beta, rho, integrals)]


def _save(table):
    """JSON with a row a line; by way of a second file, so that nobody reads half a table."""
    parts = [
        f' "{name}": [\n' + ",\n".join(f"  {json.dumps(r)}" for r in rows) + "\n ]" for name, rows in table.items()
    ]
    draft = TABLE.with_suffix(".part")
    draft.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    draft.replace(TABLE)


def main():
    """Fill in the table, saving after each point. What it holds is kept: delete the file to start again."""
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {"denoising_mmse": [], "bayes_mmse": []}
    for name, points, values, inputs, outputs in [
        ("denoising_mmse", denoising_points, _denoising_values, ("noise", "beta", "rho"), ("mmse",)),
        ("bayes_mmse", bayes_points, bayes, ("alpha", "beta", "rho", "delta"), ("mmse", "noise")),
    ]:
        known = {tuple(row[i] for i in inputs) for row in table[name]}
        for case, *point in points():
            if tuple(point) not in known:
                results = [mp.nstr(v, 22) for v in values(*point)]
                row = dict(zip((*inputs, *outputs, "case"), (*point, *results, case), strict=True))
                table[name].append(row)
                _save(table)
                print(name, *point, *results, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
