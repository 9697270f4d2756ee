// What each method achieves in the limit of large sizes: errors at given alpha, alpha at given errors, thresholds.
//
// These are bsr/theory/_bayes.py, _nuclear_norm.py, _branches.py, ridge.py and limits.py, and the information in labels from
// bsr/channels. An error is ||S_hat - S||^2 / (dL), of a teacher with entries of variance 1.

"use strict";

bsr.methods = (() => {
  const {mmse, forThreshold, softThreshold, gaussLegendre} = bsr.law;

  // --- roots, as bsr/_roots.py --------------------------------------------------------------------------------------

  const secantStep = (x, f, old, oldF, lo, hi) => {
    if (f > 0) hi = x;
    else lo = x;
    const slope = (f - oldF) / (x - old);
    return [lo, hi, slope > 0 ? x - f / slope : NaN];
  };
  const safeguarded = (secant, x, lo, hi, reach, bisect) =>
    bisect || !(lo < secant && secant < hi && Math.abs(secant - x) <= reach) ? 0.5 * (Math.max(lo, x - reach) + Math.min(hi, x + reach)) : secant;

  const STEPS = 100, ROUNDING = 1e-10, REACH = 10, LOWEST = -200, HIGHEST = 200;

  // The x where a function that rises with x vanishes; from `guess`, where its slope is about 1.
  const rise = (f, guess, lo = LOWEST, hi = HIGHEST) => {
    let x = guess, old = NaN, oldF = NaN;
    for (let step = 0; step < STEPS; step++) {
      const value = f(x);
      if (Number.isNaN(value)) return NaN;
      if (step === 0) [old, oldF] = [x - 1, value - 1];
      let next;
      [lo, hi, next] = secantStep(x, value, old, oldF, lo, hi);
      if ((step > 0 && Math.abs(next - x) <= ROUNDING) || value === 0 || hi - lo <= ROUNDING) return next >= lo && next <= hi ? next : x;
      [old, oldF, x] = [x, value, safeguarded(next, x, lo, hi, REACH, step % 4 === 3)];
    }
    return x;
  };

  // --- limits -------------------------------------------------------------------------------------------------------

  const aspectRatio = beta => (Math.abs(Math.max(beta, 1 / beta) - 1) < 1e-12 ? 1 : Math.max(beta, 1 / beta));
  const strongRecovery = (b, rho) => {
    const r = Math.min(rho, 1);
    return r * (1 + (1 - r) / b);
  };

  // --- ridge regression ---------------------------------------------------------------------------------------------

  const ridge = (alpha, delta, lam = delta) => {
    const moved = lam + alpha - 1, D = Math.hypot(moved, 2 * Math.sqrt(lam));
    if (D === 0) return delta > 0 ? Infinity : 0;
    const T = moved > 0 ? 2 * lam / (D + moved) : 0.5 * (D - moved);
    return (T * (T + lam) + delta * (1 - T)) / D;
  };
  const ridgeAlpha = (error, delta) => (delta + error) * (1 - error) / error;

  // --- the Bayes-optimal error for linear labels --------------------------------------------------------------------

  const bayes = (alpha, b, rho, delta) => {
    if (delta === 0 && alpha >= strongRecovery(b, rho)) return 0;
    const half = 0.5 * (delta + 1 - alpha), root = Math.sqrt(half * half + alpha * delta);
    const hi = Math.log(half > 0 ? (half + root) / alpha : delta / (root - half));
    const lo = delta > 0 ? Math.log(delta / alpha) : LOWEST;
    const x = rise(log => Math.log(alpha) + log - Math.log(delta + mmse(Math.exp(log), b, rho)), hi, lo, hi);
    return alpha * Math.exp(x) - delta > 1e-6 * delta ? alpha * Math.exp(x) - delta : mmse(Math.exp(x), b, rho);
  };
  const noiseAtError = (error, b, rho) =>
    Math.exp(rise(x => Math.log(mmse(Math.exp(x), b, rho) / error), Math.log(error / (1 - error)), Math.log(error / (1 - error))));

  // --- the nuclear norm ---------------------------------------------------------------------------------------------

  // theta at given noise, the error and the divergence there. Without `alpha` the error is least, else divergence = alpha.
  const threshold = (alpha, noise, guess, b, rho) => {
    const law = forThreshold(b, rho, noise);
    if (law === null) return {theta: NaN, mse: NaN, divergence: NaN};
    let lo = 0, hi = law.top, theta = lo < guess && guess < hi ? guess : 0.5 * hi, kappa = [0, 0], at;
    for (let step = 0; step < 200; step++) {
      at = softThreshold(theta, law, kappa);
      kappa = at.kappa;
      let f, slope;
      if (alpha === null) {
        f = -at.mse1 / (2 * noise * at.divergence1);
        slope = (at.mse1 * at.divergence2 - at.mse2 * at.divergence1) / (2 * noise * at.divergence1 ** 2);
      } else [f, slope] = [alpha - at.divergence, -at.divergence1];
      let next;
      [lo, hi, next] = secantStep(theta, f, theta - 1, f - slope, lo, hi);
      if (Math.abs(next - theta) <= 1e-8 * Math.min(theta, law.top - theta) || hi - lo <= 1e-15 * hi) {
        const move = next >= lo && next <= hi ? next - theta : 0;
        return {theta: theta + move, mse: at.mse + move * at.mse1, divergence: at.divergence + move * at.divergence1};
      }
      theta = safeguarded(next, theta, lo, hi, Infinity, step % 4 === 3);
    }
    return {theta, mse: at.mse, divergence: at.divergence};
  };

  const LEAST_NOISE = Math.log(1e-32);

  // Error of the best penalty, or of interpolation: at alpha, where alpha noise = delta + mse.
  const nuclearNorm = (alpha, b, rho, delta, best) => {
    if (!best && alpha >= 1) return delta === 0 ? 0 : delta / (alpha - 1);
    if (!best && delta === 0 && alpha > strongRecovery(b, rho) && alpha >= recoveryThreshold(b, rho)) return 0;
    if (best && delta === 0 && alpha >= recoveryThreshold(b, rho)) return 0;
    const lo = delta > 0 ? Math.log(delta / alpha) : LEAST_NOISE, top = Math.log((delta + 1) / alpha);
    let theta = NaN, error = NaN;
    const excess = x => {
      const found = threshold(best ? null : alpha, Math.exp(x), theta, b, rho);
      theta = found.theta;
      error = found.mse;
      return Math.log(alpha * Math.exp(x) / (delta + error));
    };
    const x = rise(excess, top, lo, best ? top : Infinity);
    const noise = Math.exp(x), byNoise = alpha * noise - delta;
    return byNoise > 1e-6 * delta ? byNoise : threshold(best ? null : alpha, noise, theta, b, rho).mse;
  };

  const nuclearAlpha = (error, b, rho, delta, best) => {
    let most = 1;
    if (!best && delta > 0) { // the error of interpolation falls before it rises to infinity at alpha = 1
      const least = minimise(alpha => nuclearNorm(alpha, b, rho, delta, false), 1e-6, 1 - 1e-9);
      if (!(least.value < error)) return 1 + delta / error;
      most = least.x;
    }
    const lo = best ? Math.log(error) : Math.log((delta + error) / most);
    let theta = NaN;
    const excess = x => {
      const noise = Math.exp(x), found = threshold(best ? null : (delta + error) / noise, noise, theta, b, rho);
      theta = found.theta;
      return Math.log(found.mse / error);
    };
    return (delta + error) * Math.exp(-rise(excess, lo - Math.log1p(-error), lo, Infinity));
  };

  // A minimum in (lo, hi) by golden sections, as many as digits that count here.
  const minimise = (f, lo, hi) => {
    const ratio = 0.5 * (Math.sqrt(5) - 1);
    let [one, two] = [hi - ratio * (hi - lo), lo + ratio * (hi - lo)], [f1, f2] = [f(one), f(two)];
    while (hi - lo > 1e-6) {
      if (f1 < f2) {
        [hi, two, f2] = [two, one, f1];
        one = hi - ratio * (hi - lo);
        f1 = f(one);
      } else {
        [lo, one, f1] = [one, two, f2];
        two = lo + ratio * (hi - lo);
        f2 = f(two);
      }
    }
    return f1 < f2 ? {x: one, value: f1} : {x: two, value: f2};
  };

  const HALF_CIRCLE = gaussLegendre(60);

  // int_x^(gamma_+) t^(k-1) sqrt((gamma_+ - t)(t - gamma_-)) dt / (2 pi gamma), from max(x, gamma_-).
  const incomplete = (x, k, gamma) => {
    const root = Math.sqrt(gamma), end = Math.acos(Math.min(1, Math.max(-1, (x - 1 - gamma) / (2 * root))));
    let sum = 0;
    for (const [node, weight] of HALF_CIRCLE) {
      const phi = 0.5 * end * (1 + node), t = (1 - root) ** 2 + 4 * root * Math.cos(0.5 * phi) ** 2;
      sum += 0.5 * end * weight * (t > 0 ? t ** (k - 1) * 2 * Math.sin(phi) ** 2 / Math.PI : 0);
    }
    return sum;
  };

  // From here on the minimal nuclear norm recovers the teacher from labels without noise.
  const recoveryThreshold = (b, rho) => {
    if (rho >= 1) return 1;
    const c = 1 / b, gamma = c * (1 - rho) / (1 - rho * c);
    const stationarity = level => incomplete(level ** 2, 0.5, gamma) - level * incomplete(level ** 2, 0, gamma) - level * rho / (1 - rho);
    let low = 0.5 * (1 + Math.sqrt(gamma));
    while (stationarity(low) < 0) low *= 0.5;
    const log = rise(x => -stationarity(Math.exp(x)), Math.log(1.4 * low), Math.log(low), Math.log(2 * low));
    const level = Math.exp(log), [first, half, zero] = [1, 0.5, 0].map(k => incomplete(level ** 2, k, gamma));
    const excess = rho * level ** 2 + (1 - rho) * (first - 2 * level * half + level ** 2 * zero);
    return strongRecovery(b, rho) + (1 - rho / b) * excess;
  };

  // --- channels: what a label tells ---------------------------------------------------------------------------------

  const chebyshev = ({coefficients, low, high}, x) => {
    const t = (2 * x - low - high) / (high - low);
    let [next, now] = [0, 0];
    for (let k = coefficients.length - 1; k > 0; k--) [next, now] = [now, 2 * t * now - next + coefficients[k]];
    return t * now - next + coefficients[0];
  };

  // A series of as many terms as it takes for seven digits.
  const fit = (f, low, high) => {
    for (let size = 12; ; size *= 2) {
      const angles = Array.from({length: size}, (_, i) => Math.PI * (i + 0.5) / size);
      const values = angles.map(angle => f(low + 0.5 * (high - low) * (1 + Math.cos(angle))));
      const coefficients = angles.map((_, k) =>
        values.reduce((sum, value, i) => sum + value * Math.cos(k * angles[i]), 0) * (k ? 2 : 1) / size);
      const largest = Math.max(...coefficients.map(Math.abs));
      if (size >= 48 || coefficients.slice(-size / 4).every(c => Math.abs(c) < 1e-7 * largest)) return {coefficients, low, high};
    }
  };

  const phi = x => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);

  // f(h + sqrt(delta) xi): the series of bsr/channels/_angles.py, in theta with sin(theta)^2 = q / (1 + delta).
  const angle = (delta, q, error) => Math.atan2(Math.sqrt(q), Math.sqrt(delta + error));
  const linear = delta => ({
    delta, exact: delta === 0 ? 1 : 0,
    information: (q, error) => 1 / (delta + error),
    testError: (q, error) => delta + error,
    labelVariance: 1 + delta,
  });
  const sign = delta => ({
    delta, exact: 0, classes: true,
    information: (q, error) => chebyshev(bsr.data.sign, angle(delta, q, error)) / Math.sqrt((delta + error) * (1 + delta)),
    testError: (q, error) => Math.atan2(Math.sqrt(delta + error), Math.sqrt(q)) / Math.PI,
  });
  const correlation = (delta, error) => {
    const distance = (delta + error) / (1 + delta);
    return [distance, 2 * Math.asin(Math.sqrt(0.5 * distance))];
  };
  const relu = delta => {
    const halves = [linear(delta), sign(delta)];
    return {
      delta, exact: delta === 0 ? 0.5 : 0,
      information: (q, error) => 0.5 * (halves[0].information(q, error) + halves[1].information(q, error)),
      testError: (q, error) => {
        const [distance, arc] = correlation(delta, error);
        return (1 + delta) * (0.5 * distance + (arc * (1 - distance) - Math.sin(arc)) / (2 * Math.PI));
      },
      labelVariance: (1 + delta) * (0.5 - 0.5 / Math.PI),
    };
  };
  const modulus = delta => ({
    delta, even: true, exact: delta === 0 ? 1 : 0,
    information: (q, error) => chebyshev(bsr.data.modulus, angle(delta, q, error)) * q / ((1 + delta) * (delta + error)),
    testError: (q, error) => {
      const [distance, arc] = correlation(delta, error);
      return (1 + delta) * (1 - 2 / Math.PI * (Math.sin(arc) + (0.5 * Math.PI - arc) * (1 - distance)));
    },
    labelVariance: (1 + delta) * (1 - 2 / Math.PI),
  });

  const LINE = 7.5, HALF_LINE = gaussLegendre(80).map(([x, w]) => [0.5 * 9 * (x + 1), 9 * w]);

  const logistic = scale => {
    const expit = h => 1 / (1 + Math.exp(-h / scale));
    // For h ~ N(omega, s^2): the probability of 1, and its slope in omega, by steps as fine as either factor.
    const seen = (omega, s) => {
      const width = s * scale / Math.hypot(s, scale), step = 0.15 * width, first = Math.ceil(-LINE * s / step);
      let [Z, slope] = [0, 0];
      for (let i = first; i <= -first; i++) {
        const z = i * step / s, weight = phi(z) * step / s, value = expit(omega + i * step);
        Z += weight * value;
        slope += weight * value * (1 - value) / scale;
      }
      return [Z, slope];
    };
    const half = f => s => HALF_LINE.reduce((sum, [x, w]) => sum + w * phi(x) * f(...seen(Math.sqrt(1 - s * s) * x, s)), 0);
    const clear = s => Math.max(s, 1e-6);
    const information = fit(s => half((Z, slope) => slope * slope / Math.max(Z * (1 - Z), 1e-300))(clear(s)), 0, 1);
    const wrong = fit(theta => half(Z => 1 - Z)(clear(Math.cos(theta))), 0, 0.5 * Math.PI); // smooth in the angle
    return {
      exact: 0, classes: true, delta: 0,
      information: (q, error) => chebyshev(information, Math.sqrt(error)),
      testError: (q, error) => chebyshev(wrong, Math.atan2(Math.sqrt(q), Math.sqrt(error))),
    };
  };

  const poisson = (rate, gain) => {
    const reach = 6 + Math.abs(gain), top = rate * Math.exp(Math.abs(gain) * reach), logFactorial = [0];
    for (let y = 1; y <= top + 9 * Math.sqrt(top) + 9; y++) logFactorial.push(logFactorial.at(-1) + Math.log(y));
    const Z = new Float64Array(logFactorial.length), slope = new Float64Array(logFactorial.length);
    const information = fit(s => {
      // For h ~ N(omega, s^2) with omega = sqrt(1 - s^2) x: the law of counts, and its slope in omega.
      const width = Math.max(s, 1e-4);
      let sum = 0;
      for (let x = -reach; x <= reach; x += 0.25) {
        const omega = Math.sqrt(1 - width * width) * x, most = rate * Math.exp(Math.abs(gain) * (Math.abs(omega) + 4 * width));
        const step = Math.min(0.4, 0.6 / (Math.abs(gain) * width * Math.sqrt(most))); // the likelihood's own width
        let [first, last] = [Z.length, 0];
        for (let z = -reach; z <= reach; z += step) {
          const mean = rate * Math.exp(gain * (omega + width * z)), spread = 8 * Math.sqrt(mean) + 8, log = Math.log(mean);
          const from = Math.max(0, Math.floor(mean - spread)), to = Math.min(Z.length - 1, Math.ceil(mean + spread));
          [first, last] = [Math.min(first, from), Math.max(last, to)];
          let p = phi(z) * step * Math.exp(from * log - mean - logFactorial[from]);
          for (let y = from; y <= to; y++) {
            Z[y] += p;
            slope[y] += p * (y - mean);
            p *= mean / (y + 1);
          }
        }
        let inner = 0;
        for (let y = first; y <= last; y++) if (Z[y] > 1e-290) inner += slope[y] * slope[y] / Z[y];
        sum += 0.25 * phi(x) * gain * gain * inner;
        Z.fill(0, first, last + 1);
        slope.fill(0, first, last + 1);
      }
      return sum;
    }, 0, 1);
    const square = gain * gain, mean = rate * Math.exp(0.5 * square);
    return {
      exact: 0, delta: 0,
      information: (q, error) => chebyshev(information, Math.sqrt(error)),
      testError: (q, error) => mean - rate ** 2 * Math.exp(2 * square) * Math.expm1(-square * error),
      labelVariance: mean + mean * mean * Math.expm1(square),
    };
  };

  const CHANNELS = {linear, sign, relu, abs: modulus, logistic, poisson};
  const made = new Map();
  const channel = (kind, ...parameters) => {
    const key = [kind, ...parameters].join();
    if (!made.has(key)) made.set(key, CHANNELS[kind](...parameters));
    return made.get(key);
  };

  // --- the curve of a channel, cut where it turns: bsr/theory/_branches.py ------------------------------------------

  const SPACING = 0.05, FARTHEST = Math.log(1e10), NEAREST = Math.log(1e-10), FLAT = 1e-6;

  const overlapAndError = (noise, b, rho) => {
    const error = mmse(noise, b, rho), s = 1 / Math.max(noise, 1), term = b * s * (s / rho) ** 2;
    return [5 * term * s < 1e-16 ? s / (1 + s) + term : 1 - error, error];
  };

  const weakRecovery = which => which.information(0, 1) > 1e-12 ? NaN : 1e-9 / which.information(1e-9, 1 - 1e-9);

  // The whole curve for a channel: rising pieces, and everything that follows from it.
  const curveOf = (b, rho, which) => {
    const weak = weakRecovery(which), strong = which.exact ? strongRecovery(b, rho) / which.exact : NaN;
    const least = which.information(0, 1), most = which.information(1, 0);
    const high = least > 1e-12 ? Math.log(1e4 / least) : FARTHEST;
    const low = Number.isFinite(most) ? Math.log(1e-8 / most) : NEAREST + Math.min(0, Math.log(rho) - Math.log(b));
    const fine = Math.log(1e3), coarse = Math.log(1e-4 * Math.min(1, rho) / b);
    const at = x => {
      const [q, error] = overlapAndError(Math.exp(x), b, rho), information = which.information(q, error);
      return {x, q, error, information, logAlpha: -x - Math.log(information)};
    };
    const points = [];
    for (let x = high; x > low; x -= x > fine || x < coarse ? 4 * SPACING : SPACING) points.push(at(x));
    // Up to here the integrals of I and of q_hat = alpha I over q; half their combination is the free entropy.
    let [known, paid] = [points[0].q * 0.5 * (points[0].information + least), 0.5 * points[0].q * Math.exp(-points[0].x)];
    points.forEach((point, i) => {
      if (i > 0) {
        const old = points[i - 1], dq = point.q - old.q;
        known += 0.5 * dq * (old.information + point.information);
        paid += 0.5 * dq * (Math.exp(-old.x) + Math.exp(-point.x));
      }
      [point.known, point.paid] = [known, paid];
    });
    const pieces = [];
    let start = 0;
    for (let i = 1; i < points.length; i++) {
      const turns = i + 1 < points.length
        && (points[i + 1].logAlpha - points[i].logAlpha) * (points[i].logAlpha - points[i - 1].logAlpha) < 0;
      if (!turns && i + 1 < points.length) continue;
      pieces.push({points: points.slice(start, i + 1), rises: points[i].logAlpha > points[start].logAlpha});
      start = i;
    }
    // What rounding makes: turns with nothing between them.
    for (let i = 0; i < pieces.length; ) {
      const {points: own} = pieces[i];
      if (pieces.length > 2 && Math.abs(own.at(-1).logAlpha - own[0].logAlpha) < FLAT) {
        const from = Math.max(0, i - 1), joined = pieces.slice(from, i + 2).flatMap(p => p.points);
        pieces.splice(from, Math.min(3, pieces.length - from), {points: joined, rises: joined.at(-1).logAlpha > joined[0].logAlpha});
        i = 0;
      } else i++;
    }
    return {b, rho, which, weak, strong, pieces, at};
  };

  // Stable fixed points at alpha, from the least informed on, with their free entropies.
  const branchesAt = (curve, alpha) => {
    const {weak, strong, pieces, at} = curve, log = Math.log(alpha), found = [];
    if (!Number.isNaN(weak) && alpha <= Math.max(weak, pieces[0].rises ? Math.exp(pieces[0].points[0].logAlpha) : 0)) {
      found.push({error: 1, entropy: 0});
    }
    for (const {points, rises} of pieces) {
      if (!rises || !(points[0].logAlpha <= log && log <= points.at(-1).logAlpha)) continue;
      const after = Math.max(1, points.findIndex(point => point.logAlpha >= log));
      const [one, two] = [points[after - 1], points[after]];
      const share = (log - one.logAlpha) / (two.logAlpha - one.logAlpha), guess = one.x + share * (two.x - one.x);
      const x = -rise(z => at(-z).logAlpha - log, -guess, -one.x - 1e-9, -two.x + 1e-9), here = at(x);
      const part = (one.x - x) / (one.x - two.x), mix = key => one[key] + part * (two[key] - one[key]);
      found.push({error: here.error, entropy: 0.5 * (alpha * mix("known") - mix("paid"))});
    }
    const last = pieces.at(-1);
    if (!Number.isNaN(strong) && alpha >= Math.min(strong, last.rises ? Math.exp(last.points.at(-1).logAlpha) : Infinity)) {
      found.push({error: 0, entropy: Infinity});
    }
    return found;
  };

  const channelErrors = (curve, alpha) => {
    const found = branchesAt(curve, alpha);
    if (!found.length) return alpha > 1 ? {optimal: curve.pieces.at(-1).points.at(-1).error, algorithmic: NaN} : {optimal: NaN, algorithmic: NaN};
    const best = found.reduce((a, c) => (c.entropy > a.entropy ? c : a));
    return {optimal: best.error, algorithmic: found[0].error, several: found.length > 1};
  };

  const thresholdsOf = curve => {
    const {weak, strong, pieces, which} = curve;
    const tops = pieces.slice(0, -1).filter(p => p.rises).map(p => Math.exp(p.points.at(-1).logAlpha));
    if (!pieces[0].rises) tops.push(weak);
    const algorithmic = tops.length ? Math.max(...tops) : NaN;
    let information = NaN;
    if (!Number.isNaN(algorithmic)) {
      if (which.exact) information = strong < algorithmic ? strong : NaN;
      else {
        const gain = alpha => {
          const found = branchesAt(curve, alpha);
          return found.length > 1 ? Math.max(...found.slice(1).map(f => f.entropy)) - found[0].entropy : NaN;
        };
        const bottoms = pieces.slice(1).filter(p => p.rises).map(p => Math.exp(p.points[0].logAlpha));
        let [lo, hi] = [Math.min(...bottoms) * (1 + 1e-7), algorithmic * (1 - 1e-7)];
        if (gain(hi) > 0 && !(gain(lo) > 0)) {
          for (let i = 0; i < 60; i++) {
            const middle = 0.5 * (lo + hi);
            if (gain(middle) > 0) hi = middle;
            else lo = middle;
          }
          information = hi;
        }
      }
    }
    return {weak, algorithmic, information, strong};
  };

  // The least alpha at which an error of a channel is as small, and whether it is passed by a jump there.
  const channelAlpha = (curve, error, kind, thresholds) => {
    const noise = noiseAtError(error, curve.b, curve.rho), alpha = 1 / (noise * curve.which.information(1 - error, error));
    const reached = at => channelErrors(curve, at)[kind];
    if (Math.abs(reached(alpha) / error - 1) < 1e-3) return {alpha, jump: false};
    const {weak, information, algorithmic} = thresholds;
    const jumps = (kind === "optimal" ? [information, algorithmic, weak] : [algorithmic, weak]).filter(a => !Number.isNaN(a));
    const past = jumps.sort((a, c) => a - c).find(jump => reached(jump * (1 + 1e-4)) <= error);
    return past === undefined ? {alpha: NaN, jump: false} : {alpha: past, jump: true};
  };

  return {
    aspectRatio, strongRecovery, recoveryThreshold, ridge, ridgeAlpha, bayes, noiseAtError, nuclearNorm, nuclearAlpha,
    channel, curveOf, channelErrors, thresholdsOf, channelAlpha,
  };
})();
