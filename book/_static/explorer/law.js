// The law of the noisy teacher's singular values, its least error and its soft threshold: chapters 4, 5 and 11 in numbers.
//
// These are bsr/_uniformisation.py, _law.py, _denoisers.py and _soft_threshold.py, name for name; comments there say why.
// Here b = max(beta, 1/beta), rho = r/min(d, L), and noise is the variance on each entry of the teacher.

"use strict";

window.bsr = window.bsr || {};

bsr.law = (() => {
  // --- complex numbers, as pairs ------------------------------------------------------------------------------------

  const add = (z, w) => [z[0] + w[0], z[1] + w[1]];
  const sub = (z, w) => [z[0] - w[0], z[1] - w[1]];
  const mul = (z, w) => [z[0] * w[0] - z[1] * w[1], z[0] * w[1] + z[1] * w[0]];
  const times = (a, z) => [a * z[0], a * z[1]];
  const shift = (z, a) => [z[0] + a, z[1]];
  const abs = z => Math.hypot(z[0], z[1]);
  const div = (z, w) => {
    const size = w[0] * w[0] + w[1] * w[1];
    return [(z[0] * w[0] + z[1] * w[1]) / size, (z[1] * w[0] - z[0] * w[1]) / size];
  };
  const sqrt = z => {
    const size = abs(z);
    if (size === 0) return [0, z[1]];
    const half = Math.sqrt(0.5 * (size + Math.abs(z[0])));
    const other = Math.abs(z[1]) / (2 * half);
    const sign = z[1] < 0 || Object.is(z[1], -0) ? -1 : 1; // the cut has two sides
    return z[0] >= 0 ? [half, sign * other] : [other, sign * half];
  };

  // --- the map kappa -> y on the real line --------------------------------------------------------------------------

  const withinReach = (b, rho, noise) => b <= 1e15 && rho >= 1e-13 && rho <= 1e15 && noise >= 1e-40 && noise <= 1e80;
  const pOf = (kappa, rho, noise) => rho / (kappa - 1) + rho * noise / kappa;
  const yOf = (kappa, b, rho, noise) => {
    const p = pOf(kappa, rho, noise);
    return kappa * (1 + p) * (b + p) / rho;
  };

  const zeros = (b, rho, noise) => {
    const half = 0.5 * (rho + rho * noise - b), root = Math.sqrt(half * half + b * rho * noise);
    return half > 0 ? [-(half + root) / b, rho * noise / (half + root)] : [-rho * noise / (root - half), (root - half) / b];
  };

  const slopeOf = (kappa, b, rho, noise) => {
    const u = 1 + pOf(kappa, rho, noise);
    const kappaDp = -rho * kappa / (kappa - 1) ** 2 - rho * noise / kappa;
    const width = 2 * u + b - 1;
    return u > 0 ? u * (u + b - 1) / width + kappaDp : u * (u + b - 1) + kappaDp * width;
  };

  const criticalPoint = (lo, hi, b, rho, noise) => {
    let low = slopeOf(lo, b, rho, noise), high = slopeOf(hi, b, rho, noise), kappa = lo;
    for (let i = 0; i < 200; i++) {
      const secant = (lo * high - hi * low) / (high - low);
      kappa = i % 4 < 3 && lo < secant && secant < hi ? secant : 0.5 * (lo + hi);
      const f = slopeOf(kappa, b, rho, noise);
      if (f === 0 || hi - lo <= 4e-16 * Math.abs(kappa)) break;
      if (f > 0 === low > 0) [lo, low, high] = [kappa, f, 0.5 * high];
      else [hi, high, low] = [kappa, f, 0.5 * low];
    }
    return kappa;
  };

  const saddleOf = (b, rho, noise) => {
    if (rho >= 1 || (1 - rho) * (b - rho) <= 2 * rho * rho * noise) return 0;
    const linear = 1 + b + 2 * rho + 2 * rho * noise;
    let e = 1;
    for (let i = 0; i < 100; i++) {
      const step = ((b / rho) * e ** 4 - linear * e + 3 * rho) / (4 * (b / rho) * e ** 3 - linear);
      e -= step;
      if (!(step > 1e-15 * e)) break;
    }
    return 0 < 1 - e && 1 - e < zeros(1, rho, noise)[1] ? 1 - e : 0;
  };

  const criticalPoints = (b, rho, noise) => {
    const [zero1, kappa1] = zeros(1, rho, noise), [zeroB] = zeros(b, rho, noise);
    const lo = Math.min(zero1, zeroB), hi = Math.max(zero1, zeroB);
    const lower = lo < hi ? criticalPoint(lo, hi, b, rho, noise) : lo;
    const saddle = saddleOf(b, rho, noise);
    let gap = [saddle, saddle];
    if (saddle > 0 && slopeOf(saddle, b, rho, noise) > 0) {
      let start = saddle;
      while (start > 1e-300 && slopeOf(start, b, rho, noise) > 0) start *= 0.5;
      gap = [
        criticalPoint(start, saddle, b, rho, noise),
        criticalPoint(saddle, kappa1 - 1e-9 * (kappa1 - saddle), b, rho, noise),
      ];
    }
    const c = 1 + b + rho + 2 * rho * noise;
    const end = 1 + Math.max(Math.sqrt(3 * c * rho / b), Math.cbrt(6 * rho * rho / b), rho * noise * Math.sqrt(3 / b));
    return [lower, ...gap, criticalPoint(1 + 0.99 * Math.sqrt(c * rho / b), end, b, rho, noise)];
  };

  const bulkEdges = (critical, b, rho, noise) => {
    const lower = b > 1 ? Math.max(0, yOf(critical[0], b, rho, noise)) : 0, upper = yOf(critical[3], b, rho, noise);
    if (critical[2] > critical[1]) {
      const one = yOf(critical[1], b, rho, noise), two = yOf(critical[2], b, rho, noise);
      if (lower < one && one < two && two < upper) return [[lower, one], [two, upper]];
    }
    return [[lower, upper]];
  };

  // --- solving y(kappa) = y -----------------------------------------------------------------------------------------

  const realRoot = (y, lo, hi, sense, b, rho, noise) => {
    const linear1 = rho + rho * noise - 1, linearB = rho + rho * noise - b, constant = rho * noise, scale = rho * y;
    let kappa = 0.5 * (lo + hi);
    for (let i = 0; i < 200; i++) {
      const e = 1 - kappa;
      const left = kappa * (kappa + linear1) - constant, right = kappa * (b * kappa + linearB) - constant;
      const f = left * right - scale * kappa * e * e;
      const slope = (2 * kappa + linear1) * right + left * (2 * b * kappa + linearB) - scale * e * (e - 2 * kappa);
      if (sense * f < 0) lo = kappa;
      else hi = kappa;
      let next = slope !== 0 ? kappa - f / slope : lo;
      if (!(lo < next && next < hi)) next = 0.5 * (lo + hi);
      if (Math.abs(next - kappa) <= 1e-12 * Math.abs(next)) return next;
      kappa = next;
    }
    return kappa;
  };

  const pAt = (kappa, rho, noise) => add(div([rho, 0], shift(kappa, -1)), div([rho * noise, 0], kappa));

  const kappaOfP = (p, near, rho, noise) => {
    const half = times(0.5, shift(p, rho + rho * noise));
    let root = sqrt(sub(mul(half, half), times(rho * noise, p)));
    if (half[0] * root[0] + half[1] * root[1] < 0) root = times(-1, root);
    const sum = add(half, root), one = div(sum, p), other = div([rho * noise, 0], sum);
    return abs(sub(one, near)) < abs(sub(other, near)) ? one : other;
  };

  const NOTHING = [0, 0];

  const continuedKappa = (y, kappa, b, rho, noise) => {
    for (let i = 0; i < 8; i++) {
      if (kappa[1] === 0 && (kappa[0] === 0 || kappa[0] === 1)) break;
      const over = div([1, 0], kappa), over1 = div([1, 0], shift(kappa, -1));
      const p = add(times(rho, over1), times(rho * noise, over));
      const product = mul(shift(p, 1), shift(p, b));
      const kappaDp = sub(times(-rho, mul(kappa, mul(over1, over1))), times(rho * noise, over));
      const top = shift(mul(kappa, product), -rho * y);
      const step = div(top, add(product, mul(kappaDp, shift(times(2, p), 1 + b))));
      kappa = sub(kappa, step);
      const size = abs(step);
      if (size <= 1e-8 * abs(kappa)) return size <= -1e-6 * kappa[1] && abs(shift(p, 1)) > 1e-3 ? kappa : NOTHING;
    }
    return NOTHING;
  };

  const vietaKappa = (y, b, rho, noise) => {
    const total = rho + rho * noise;
    const real1 = realRoot(y, 0, zeros(1, rho, noise)[1], -1, b, rho, noise);
    const realB = realRoot(y, zeros(b, rho, noise)[1], 1, 1, b, rho, noise);
    const modulus2 = (rho * noise) ** 2 / (b * real1 * realB);
    const cubic = (b + rho * y - total) / b + 1 - total;
    const linear = (2 * total - 1 - b + y / noise) / (rho * noise);
    return Math.abs(cubic) + real1 + realB <= modulus2 * (Math.abs(linear) + 1 / real1 + 1 / realB)
      ? [0.5 * (cubic - real1 - realB), modulus2]
      : [0.5 * modulus2 * (linear - 1 / real1 - 1 / realB), modulus2];
  };

  const complexP = (y, b, rho, noise) => {
    const [zero] = zeros(1, rho, noise);
    const dpZero = -rho / (zero - 1) ** 2 - rho * noise / zero ** 2;
    const square = -rho * y / zero - 0.25 * (b - 1) ** 2;
    let kappa, u;
    if (square > 0 && Math.sqrt(square) + b - 1 < 1e-2 * Math.abs(zero * dpZero)) {
      kappa = [zero, 0];
      u = [0.5 * (1 - b), Math.sqrt(square)];
    } else {
      const [real, modulus2] = vietaKappa(y, b, rho, noise);
      kappa = [real, -Math.sqrt(Math.max(modulus2 - real * real, 1e-10 * modulus2))];
      u = shift(pAt(kappa, rho, noise), 1);
    }
    let old = Infinity;
    for (let i = 0; i < 60; i++) {
      kappa = kappaOfP(shift(u, -1), kappa, rho, noise);
      const less = shift(kappa, -1);
      const dp = add(div([rho, 0], mul(less, less)), div([rho * noise, 0], mul(kappa, kappa)));
      const product = mul(u, shift(u, b - 1));
      const below = add(div(product, times(-1, dp)), mul(kappa, shift(times(2, u), b - 1)));
      const step = div(shift(mul(kappa, product), -rho * y), below);
      u = sub(u, step);
      const size = abs(step);
      if (size <= 1e-8 * u[1] || (size > 0.8 * old && size < 1e-6 * abs(u))) break;
      old = size;
    }
    const p = [u[0] - 1, Math.max(u[1], 0)];
    return [p, kappaOfP(p, kappa, rho, noise)];
  };

  // p and kappa at y inside the support, from those of a neighbour where there is one.
  const physicalP = (y, neighbour, b, rho, noise) => {
    const kappa = neighbour[1] < 0 ? continuedKappa(y, neighbour, b, rho, noise) : NOTHING;
    return kappa[1] < 0 ? [pAt(kappa, rho, noise), kappa] : complexP(y, b, rho, noise);
  };

  // --- averages over the law ----------------------------------------------------------------------------------------

  const COSINE = [8, 256], DOUBLE_EXPONENTIAL = [32, 2048], RANGE = 3.2, TOL = 1e-9;

  // Nodes [y, weight, Re p, Im p] on (lo, hi) by a nested trapezoidal rule, and whether it converged.
  const piece = (lo, hi, mass, cosine, b, rho, noise) => {
    const [first, last] = cosine ? COSINE : DOUBLE_EXPONENTIAL, logarithmic = lo > 0;
    const span = logarithmic ? Math.log(hi / lo) : hi, rows = [];
    let total = 0, cubes = 0, n = first, stride = 1;
    for (;;) {
      const step = (cosine ? Math.PI : 2 * RANGE) / n;
      let kappa = NOTHING;
      const oldTotal = total, oldCubes = cubes;
      total *= 0.5;
      cubes *= 0.5;
      for (const row of rows) row[1] *= 0.5;
      const hardEdge = cosine && !logarithmic && n === first;
      for (let k = hardEdge ? 0 : 1; k < n; k += stride) {
        let w, dw;
        if (cosine) {
          const theta = k > 0 ? k * step : 1e-12;
          w = Math.sin(0.5 * theta) ** 2;
          dw = 0.5 * Math.sin(theta) * (k > 0 ? 1 : 0.5);
        } else {
          const t = k * step - RANGE;
          w = 1 / (1 + Math.exp(-Math.PI * Math.sinh(t)));
          dw = Math.PI * Math.cosh(t) * w / (1 + Math.exp(Math.PI * Math.sinh(t)));
        }
        if (!(cosine || logarithmic)) [w, dw] = [w * w, 2 * w * dw];
        const y = logarithmic ? lo * Math.exp(span * w) : span * w;
        if (!(lo < y && y < hi)) continue;
        let p;
        [p, kappa] = physicalP(y, kappa, b, rho, noise);
        const weight = step * span * dw * p[1] / Math.PI / (logarithmic ? 1 : y);
        rows.push([y, weight, p[0], p[1]]);
        total += weight;
        cubes += weight * p[1] * p[1] / y;
      }
      if (n > first) {
        const error = mass >= 0 ? Math.abs(total - mass) : Math.abs(total - oldTotal);
        const negligible = mass < 0 && Math.max(total, oldTotal) <= 1e4 * TOL;
        const stable = Math.abs(cubes - oldCubes) <= cubes * (cosine ? 1e3 : 10) * TOL;
        if (error <= TOL && (stable || negligible)) return [rows, true];
      }
      if (n >= last) return [rows, false];
      n *= 2;
      stride = 2;
    }
  };

  const nodes = (b, rho, noise) => {
    const critical = criticalPoints(b, rho, noise), bulks = bulkEdges(critical, b, rho, noise);
    const saddle = critical[1] > 0 ? yOf(critical[1], b, rho, noise) : 0, out = [];
    bulks.forEach(([lo, hi], i) => {
      const mass = bulks.length === 1 ? 1 : i === 1 ? rho : 1 - rho;
      const [rows, done] = piece(lo, hi, mass, true, b, rho, noise);
      if (done) out.push(rows);
      else if (lo < saddle && saddle < hi) {
        for (const ends of [[lo, saddle], [saddle, hi]]) out.push(piece(...ends, -1, false, b, rho, noise)[0]);
      } else out.push(piece(lo, hi, mass, false, b, rho, noise)[0]);
    });
    return out.flat();
  };

  // The least error of denoising S + sqrt(noise) Z.
  const mmse = (noise, b, rho) => {
    if (noise === 0) return 0;
    if (b < 1e-16 * (rho * noise) ** 2 * noise) return noise / (1 + noise);
    if (!withinReach(b, rho, noise)) return NaN;
    let cubes = 0, overlap = 0;
    for (const [y, weight, real, imag] of nodes(b, rho, noise)) {
      cubes += weight * imag * imag / y;
      const f = y - noise * (b + 1 + 2 * real);
      overlap += weight * f * f / (b * y);
    }
    return noise <= 1
      ? noise * (1 - (b - 1) / b * zeros(1, rho, noise)[1] - 4 * noise / (3 * b) * cubes)
      : 1 - overlap;
  };

  // --- soft thresholding --------------------------------------------------------------------------------------------

  // Nodes and weights of the Gauss-Legendre rule on (-1, 1), by Newton's method.
  const gaussLegendre = n => Array.from({length: n}, (_, i) => {
    let x = Math.cos(Math.PI * (i + 0.75) / (n + 0.5)), slope = 0;
    for (let step = 0; step < 20; step++) {
      let [before, now] = [1, x];
      for (let k = 2; k <= n; k++) [before, now] = [now, ((2 * k - 1) * x * now - (k - 1) * before) / k];
      slope = n * (x * now - before) / (x * x - 1);
      x -= now / slope;
    }
    return [-x, 2 / ((1 - x * x) * slope * slope)]; // in rising order
  });

  const GAUSS = gaussLegendre(24), FIRST = 3, GROWTH = 6, SLOPE = 1.5, WEAK = 1e-6, TERMS = 30, LARGE = 4;

  const above = (kappa, root, b, rho, noise) => {
    const [zero1, kappa1] = zeros(1, rho, noise), [zeroB, kappaB] = zeros(b, rho, noise);
    const scale = Math.sqrt(b / rho), s = sqrt(shift(kappa, -1)), depth = -s[1];
    const end = Math.max(SLOPE * depth - s[0], 0);
    let near = Infinity;
    if (end > 0) {
      for (const point of [zero1, zeroB, 0, kappa1, kappaB, 1]) {
        let distance = abs(shift(kappa, -point));
        if (point < 0) distance = Math.max(distance, WEAK * abs(kappa));
        near = Math.min(near, distance / abs([s[0], s[1] - Math.sqrt(1 - point)]));
      }
    }
    let squares = 0, differences = 0, start = 0, stop = FIRST * near;
    for (let pieces = 0; pieces < 200; pieces++) {
      const up = start >= end;
      stop = Math.min(stop, end);
      for (let j = 0; j < (up ? GAUSS.length / 2 : GAUSS.length); j++) {
        const [point, weight] = GAUSS[j];
        let at, step, t;
        if (up) {
          at = [s[0] + end, depth * point];
          step = [0, depth * weight];
          t = shift(mul(at, at), 1);
        } else {
          const move = 0.5 * (start + stop) + 0.5 * (stop - start) * point;
          at = shift(s, move);
          step = [0.5 * (stop - start) * weight, 0];
          t = add(kappa, times(move, add(s, at)));
        }
        const branch = (zero, pole) => {
          const from = shift(t, -zero);
          return mul(from, sqrt(div(shift(t, -pole), from)));
        };
        const product = times(scale, mul(branch(zero1, kappa1), branch(zeroB, kappaB)));
        const difference = shift(div(product, mul(sqrt(t), shift(t, -1))), -root);
        const value = div(times(2, mul(mul(at, step), difference)), mul(t, t));
        differences += value[1];
        squares += mul(value, difference)[1];
      }
      if (up) return [squares, differences];
      [start, stop] = [stop, GROWTH * stop];
    }
    return [NaN, NaN];
  };

  // What a threshold needs of a law, made once for a noise.
  const forThreshold = (b, rho, noise) => {
    if (!withinReach(b, rho, noise)) return null;
    const critical = criticalPoints(b, rho, noise), bulks = bulkEdges(critical, b, rho, noise);
    return {b, rho, noise, critical, bulks, top: Math.sqrt(bulks.at(-1)[1] / Math.sqrt(b))};
  };

  // kappa of the threshold; error and divergence of x -> (x - theta)_+, each with two derivatives in theta.
  const softThreshold = (theta, law, near) => {
    const {b, rho, noise, critical, bulks} = law, rootB = Math.sqrt(b), y = rootB * theta * theta;
    if (y >= bulks.at(-1)[1]) return {kappa: near, mse: 1, mse1: 0, mse2: 0, divergence: 0, divergence1: 0, divergence2: 0};
    let kappa;
    if (y <= bulks[0][0]) kappa = [critical[0], 0];
    else if (bulks.length === 2 && bulks[0][1] <= y && y <= bulks[1][0]) kappa = [critical[2], 0];
    else [, kappa] = physicalP(y, near, b, rho, noise);
    kappa = [kappa[0], -Math.abs(kappa[1])];
    const p = pAt(kappa, rho, noise), over = div([1, -0], kappa), over1 = div([1, -0], shift(kappa, -1));
    const log0 = Math.atan2(kappa[1], kappa[0]), log1 = Math.atan2(kappa[1], kappa[0] - 1);
    let rest0, rest1;
    if (abs(kappa) > LARGE) {
      let power = mul(over, over);
      rest0 = 0;
      for (let n = 2; n < TERMS; n++) {
        rest0 -= power[1] / n;
        power = mul(power, over);
      }
      rest1 = rest0 + mul(over, over1)[1];
    } else {
      rest0 = log1 - log0 + over[1];
      rest1 = log1 - log0 + over1[1];
    }
    let mass = (1 - rho) * log0 + rho * log1 - rho * noise * over[1] + 2 * p[1];
    if (b > 1) mass -= (b - 1) * Math.atan2(p[1] / b, 1 + p[0] / b);
    mass /= -Math.PI;
    let powers = 0.5 * (b + 1) * rho * (2 * noise * (log1 - log0) - over1[1] - noise * noise * over[1]);
    const cubes = 3 * noise * (noise * rest0 - rest1) - 0.5 * (mul(over1, over1)[1] + noise ** 3 * mul(over, over)[1]);
    powers += rho * rho / 3 * cubes;
    const product = mul(p, shift(mul(p, shift(times(1 / 3, p), 0.5 * (b + 1))), b));
    const common = mul(kappa, product)[1] / rho - y * p[1] - powers;
    const aboveIt = (common - b * (log1 + noise * log0)) / (Math.PI * rootB);
    const below0 = Math.atan2(-kappa[1], -kappa[0]), below1 = Math.atan2(-kappa[1], 1 - kappa[0]);
    const below = (b * (below1 + noise * below0) - common) / (Math.PI * rootB);
    const [squares, differences] = above(kappa, Math.sqrt(y), b, rho, noise);
    const divergence = rho / (Math.PI * b) * squares, field = 2 * rho * b ** -0.75 / Math.PI * differences;
    const mse = noise < 1
      ? (theta * theta * mass + below) / rootB - noise + 2 * noise * divergence
      : (theta * theta * mass - aboveIt) / rootB + 1 + 2 * noise * divergence;
    const density = 2 * p[1] / (Math.PI * theta), field1 = -density * (b + 1 + 2 * p[0]) / (b * theta);
    return {
      kappa, mse, mse1: 2 * (theta * mass / rootB - noise * field),
      mse2: 2 * ((mass - theta * density) / rootB - noise * field1),
      divergence, divergence1: -field, divergence2: -field1,
    };
  };

  return {mmse, forThreshold, softThreshold, gaussLegendre, bulkEdges, criticalPoints};
})();
