// The explorer: form, picture and table, all drawn from bsr.methods. Its state stands in the address of the page.

"use strict";

bsr.explorer = (() => {
  const {methods, data} = bsr;

  // --- state: the same names as the options of the command line -----------------------------------------------------

  const DEFAULTS = {d: 100, L: 100, r: 20, channel: "linear", delta: 0.1, scale: 1, rate: 1, gain: 1, n: 5000, error: 0.1};
  const WHOLE = ["d", "L", "r", "n"];

  // Where numbers agree with the package to one part in a thousand: tests/browser/test_explorer.py.
  const BOX = {
    d: [1, 1e5], L: [1, 1e5], r: [1, 1e5], delta: [1e-3, 10], scale: [0.05, 3], rate: [0.1, 10], gain: [0.1, 1], n: [1, 1e13],
    error: [1e-4, 0.97], beta: [0.01, 100], rho: [0.002, 4], alpha: [0.003, 60],
  };

  const SMALL = 10; // tokens or dimensions: no run of ours was smaller

  const CHANNELS = {
    linear: {name: "numbers, y = h + noise", parameters: ["delta"], python: "Linear"},
    sign: {name: "two classes, sign(h + noise)", parameters: ["delta"], python: "Sign"},
    logistic: {name: "two classes, logistic", parameters: ["scale"], python: "Logistic"},
    relu: {name: "rectified, max(0, h + noise)", parameters: ["delta"], python: "ReLU"},
    abs: {name: "moduli, |h + noise|", parameters: ["delta"], python: "Abs"},
    poisson: {name: "counts, Poisson", parameters: ["rate", "gain"], python: "Poisson"},
  };

  const FIELDS = {
    d: {label: "dimension of a token, d", range: [2, 5000]},
    L: {label: "tokens in a sequence, L", range: [2, 5000]},
    r: {label: "rank of the teacher, r", range: [1, 1000]},
    delta: {label: "variance of the noise over that of the signal, Δ", range: [1e-3, 10], zero: true},
    scale: {label: "scale of h", range: [0.05, 3]},
    rate: {label: "mean count at h = 0, rate", range: [0.1, 10]},
    gain: {label: "slope of the logarithm, gain", range: [0.1, 1]},
    n: {label: "labelled sequences, n", range: [10, 1e8]},
    error: {label: "error that is to be reached", range: [1e-4, 0.97]},
  };

  const PRESETS = {
    "Figure 1 of the paper": {d: 100, L: 100, r: 20, channel: "linear", delta: 0, n: 3000},
    "the same with noise": {d: 100, L: 100, r: 20, channel: "linear", delta: 0.5, n: 5000},
    "long sequences": {d: 50, L: 800, r: 10, channel: "linear", delta: 0.1, n: 20000},
    "few tokens, low rank": {d: 20, L: 20, r: 1, channel: "linear", delta: 0.1, n: 200},
    "two classes": {d: 100, L: 100, r: 20, channel: "sign", delta: 0.1, n: 10000},
    "the lost sign": {d: 100, L: 100, r: 20, channel: "abs", delta: 0.1, n: 6700},
    counts: {d: 100, L: 100, r: 20, channel: "poisson", rate: 1, gain: 1, n: 5000},
  };

  const readAddress = () => {
    const given = new URLSearchParams(location.hash.slice(1)), state = {...DEFAULTS}, refused = [];
    let found = false;
    for (const key of Object.keys(DEFAULTS)) {
      if (!given.has(key)) continue;
      const text = given.get(key).trim(), value = key === "channel" ? text : text === "" ? NaN : Number(text);
      if (key === "channel" ? Object.hasOwn(CHANNELS, value) : wrong(key, value) === "") [state[key], found] = [value, true];
      else refused.push(`${key} = ${text}`);
    }
    return [state, found, refused];
  };

  const writeAddress = state => {
    const told = new URLSearchParams();
    for (const key of ["d", "L", "r", "channel", ...CHANNELS[state.channel].parameters, "n", "error"]) told.set(key, state[key]);
    history.replaceState(null, "", `#${told}`);
  };

  // What is wrong with a number that was typed: nothing, or words.
  const wrong = (key, value) => {
    if (!Number.isFinite(value)) return "a number is missing";
    if (WHOLE.includes(key)) return Number.isInteger(value) && value >= 1 && value <= (key === "n" ? 1e13 : 1e6) ? "" : "must be a whole number, 1 or more, and not so large";
    if (key === "error") return value >= 1e-9 && value <= 1 - 1e-9 ? "" : "must be between 0 and 1, and not within a billionth";
    if (key === "delta") return value >= 0 && value <= 1e6 ? "" : "must be zero or positive, and at most a million";
    return value > 0 && value <= 1e6 ? "" : "must be positive, and at most a million";
  };

  // --- numbers as words ---------------------------------------------------------------------------------------------

  const ten = power => `10${[...String(Number(power))].map(c => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("")}`;
  const number = x => {
    if (x === 0) return "0";
    if (!Number.isFinite(x)) return x > 0 ? "∞" : "–";
    if (Math.abs(x) >= 1e-3 && Math.abs(x) < 1e4) return String(Number(x.toPrecision(4)));
    const [digits, power] = x.toExponential(2).split("e");
    return `${digits}·${ten(power)}`;
  };
  // A number and its standard deviation, of which two digits count.
  const withScatter = (x, deviation) => {
    const places = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(deviation))));
    return `${x.toFixed(places)} ± ${deviation.toFixed(places)}`;
  };
  const count = x => (!Number.isFinite(x) ? "–" : x < 1e9 ? Math.ceil(x - 1e-6).toLocaleString("en-US") : number(x));
  const sized = (x, units, base) => {
    let i = 0;
    while (x >= base && i + 1 < units.length) [x, i] = [x / base, i + 1];
    return `${x < 10 ? Number(x.toPrecision(2)) : Math.round(x)} ${units[i]}`;
  };
  const bytes = x => sized(x, ["B", "kB", "MB", "GB", "TB", "PB"], 1000);
  const duration = s => (s < 1 ? "< 1\u00a0s" : s < 100 ? `${Number(s.toPrecision(1))}\u00a0s`
    : s < 6000 ? `${Math.round(s / 60)}\u00a0min` : s < 1e6 ? `${Number((s / 3600).toPrecision(1))}\u00a0h` : `${number(Number((s / 86400).toPrecision(1)))}\u00a0days`);

  // --- what the methods achieve -------------------------------------------------------------------------------------

  // Series of smooth likelihoods take too long outside of the box.
  const tooMuch = state => CHANNELS[state.channel].parameters.filter(key => key !== "delta" && !(state[key] >= BOX[key][0] && state[key] <= BOX[key][1]));

  const setting = state => {
    const b = methods.aspectRatio(state.L / state.d), rho = state.r / Math.min(state.d, state.L), entries = state.d * state.L;
    const freedom = rho < 1 ? state.r * (state.d + state.L - state.r) : entries;
    const parameters = CHANNELS[state.channel].parameters.map(key => state[key]);
    return {...state, b, rho, beta: state.L / state.d, entries, freedom, alpha: state.n / entries, parameters, label: methods.channel(state.channel, ...parameters)};
  };

  // Methods with `at(alpha)`, their error, and `needs(error)`, an alpha.
  const linearMethods = ({b, rho, delta, alpha}) => [
    {key: "bayes", name: "Bayes-optimal", note: "message passing, GAMP-RIE, reaches it",
      at: alpha => methods.bayes(alpha, b, rho, delta), needs: error => (delta + error) / methods.noiseAtError(error, b, rho)},
    {key: "best", name: "nuclear norm, best penalty", note: "does not know the rank",
      at: alpha => methods.nuclearNorm(alpha, b, rho, delta, true), needs: error => methods.nuclearAlpha(error, b, rho, delta, true)},
    {key: "minimal", name: "minimal nuclear norm", note: alpha < 1 ? "fits every label" : "beyond a sample an entry: least squares",
      at: alpha => methods.nuclearNorm(alpha, b, rho, delta, false), needs: error => methods.nuclearAlpha(error, b, rho, delta, false)},
    {key: "ridge", name: "ridge regression, best penalty", note: "flattens the sequence",
      at: alpha => methods.ridge(alpha, delta), needs: error => methods.ridgeAlpha(error, delta)},
  ];

  let curve = null; // of a channel: what costs, kept until its parameters change
  const channelMethods = at => {
    const key = [at.b, at.rho, at.channel, ...at.parameters].join();
    if (curve?.key !== key) {
      const made = methods.curveOf(at.b, at.rho, at.label);
      curve = {key, made, thresholds: methods.thresholdsOf(made)};
    }
    const {made, thresholds} = curve, hard = Number.isFinite(thresholds.algorithmic) && Number.isFinite(thresholds.information);
    const here = methods.channelErrors(made, at.alpha), reached = here.optimal === here.algorithmic;
    const notes = [at.label.even ? "up to the sign" : "", reached ? "message passing reaches it" : "no fast method is known to reach it"];
    const through = kind => error => methods.channelAlpha(made, error, kind, thresholds);
    const optimal = {key: "bayes", name: "Bayes-optimal", note: notes.filter(Boolean).join("; "), slow: !reached,
      at: alpha => methods.channelErrors(made, alpha).optimal, through: through("optimal")};
    const passing = {key: "algorithmic", name: "message passing", note: "GAMP-RIE, from no information",
      at: alpha => methods.channelErrors(made, alpha).algorithmic, through: through("algorithmic")};
    return hard ? [optimal, passing] : [optimal];
  };

  const methodsOf = at => (at.channel === "linear" ? linearMethods(at) : channelMethods(at));

  const thresholdsOf = at => {
    if (at.channel === "linear") {
      return at.delta > 0 ? [] : [["α", "s", methods.strongRecovery(at.b, at.rho), "exact recovery, at best"],
        ["α", "NN", methods.recoveryThreshold(at.b, at.rho), "exact recovery, nuclear norm"]];
    }
    const {weak, information, algorithmic, strong} = curve.thresholds;
    return [["α", "w", weak, "weak recovery"], ["α", "IT", information, "jump of the optimal error"],
      ["α", "alg", algorithmic, "jump of message passing"], ["α", "s", strong, "exact recovery"]].filter(row => Number.isFinite(row[2]));
  };

  const same = (x, y) => Math.abs(x - y) <= 1e-9 * Math.max(Math.abs(x), Math.abs(y));
  const runsAt = at => data.runs.filter(run => run.channel === at.channel && run.parameters.every((p, i) => same(p, at.parameters[i]))
    && same(run.rho, at.rho) && same(methods.aspectRatio(run.beta), at.b));

  // Gradient descent where a table has it: between its points, linear in the logarithm of the error.
  const descents = at => runsAt(at).filter(run => run.method === "gradient_descent").map(run => {
    const {points} = run, largest = Math.max(...points.map(p => p[1])), own = points.filter(p => p[1] === largest);
    const inside = alpha => {
      const after = own.findIndex(p => p[0] >= alpha * (1 - 1e-9));
      if (after < 0 || alpha < own[0][0] * (1 - 1e-9)) return NaN;
      if (after === 0) return own[0][2];
      const share = (alpha - own[after - 1][0]) / (own[after][0] - own[after - 1][0]);
      return Math.exp((1 - share) * Math.log(own[after - 1][2]) + share * Math.log(own[after][2]));
    };
    return {key: "descent", name: `gradient descent, step ${run.step}`, note: `measured at d = ${largest}, one start`, at: inside, needs: null, points: own};
  });

  // The relative standard deviation of the error of one data set, where the law of chapter 18, eq-18-scatter, is claimed.
  const STEP = 0.02;
  const scatterOf = (method, at, error) => {
    const noisy = at.channel === "linear" && at.delta > 0, known = method.key === "bayes" || (method.key === "minimal" && !noisy);
    if (!known || at.label.even || !(error > 0.02) || Math.min(at.d, at.L) < SMALL) return NaN;
    const slope = f => Math.log(f(Math.exp(STEP)) / f(Math.exp(-STEP))) / (2 * STEP);
    const s = -slope(factor => method.at(factor * at.alpha));
    const c = noisy ? slope(factor => methods.bayes(at.alpha, at.b, at.rho, factor * at.delta)) : 0;
    return s > 0.2 ? Math.sqrt(4 * s / at.freedom + c * c * 2 * (at.d + at.L) / (at.r * at.entries)) : NaN;
  };

  // Bytes of a fit in float32, X and what `memory` of each estimator adds; seconds by the record of benchmarks.
  const costOf = (method, at) => {
    const {entries, n} = at, {cost} = data, X = 4 * n * entries, few = Math.min(n, entries);
    const iteration = cost.pass * n * entries + cost.svd * Math.min(at.d, at.L) ** 2 * Math.max(at.d, at.L);
    if (method.slow || method.points) return null;
    if (method.key === "bayes" || method.key === "algorithmic") {
      const linear = at.channel === "linear", more = linear ? 0 : 8 * (20 * entries + 12 * n);
      return {bytes: X + 8 * Math.min(300_000, n * entries) + 96 * (n + entries) + more,
        seconds: cost.gamp_iterations * iteration * (linear ? 1 : cost.channels[at.channel])};
    }
    if (method.key === "ridge" || at.alpha >= 1 && method.key === "minimal") {
      const system = 8 * few * few;
      return {bytes: X + 80 * (n + entries) + system + Math.max(system, 8 * Math.min(2 ** 22, n * entries)),
        seconds: cost.ridge * few * few * Math.max(n, entries)};
    }
    const factors = 16 * few * few + (method.key === "minimal" ? 8 * n * entries : 0);
    return {bytes: X + (factors > 4e9 ? 0 : factors) + 400 * (n + entries), seconds: cost.nuclear_norm_iterations * iteration};
  };

  // What lies outside of the box in which the numbers were tested.
  const outside = at => {
    const names = ["d", "L", "r", "n", "error", ...CHANNELS[at.channel].parameters, "beta", "rho", "alpha"];
    const found = names.filter(key => (key !== "delta" || at.delta > 0) && !(at[key] >= BOX[key][0] && at[key] <= BOX[key][1]));
    if (Math.min(at.d, at.L) < SMALL) found.push("small");
    const words = found.map(key => key === "small" ? `fewer than ${SMALL} tokens or dimensions` : `${{beta: "β = L/d", rho: "ρ = r/min(d, L)", alpha: "α = n/(dL)", delta: "Δ"}[key] ?? key} = ${number(at[key])}, not from ${number(BOX[key][0])} to ${number(BOX[key][1])}`);
    const near = thresholdsOf(at).filter(row => row[3] !== "weak recovery" && Math.abs(at.alpha / row[2] - 1) < 0.02);
    return [...words, ...near.map(row => `α within 2 % of ${row[0]}${row[1]}, where the error changes fast`)];
  };

  // Everything that the page shows, but for curves.
  const evaluate = state => {
    const refused = tooMuch(state);
    if (refused.length) return {refused: refused.map(key => `${key} from ${number(BOX[key][0])} to ${number(BOX[key][1])}`)};
    const at = setting(state), list = methodsOf(at);
    const rows = [...list, ...descents(at)].map(method => {
      const error = method.at(at.alpha), q = 1 - error;
      const known = Number.isFinite(error) && error <= 1, isBayes = method.key === "bayes" || method.key === "algorithmic";
      const test = at.channel === "linear" ? error + at.delta : known && isBayes ? at.label.testError(q, error) : NaN;
      const {alpha, jump} = method.through ? method.through(at.error) : {alpha: method.needs ? method.needs(at.error) : NaN, jump: false};
      const unexplained = test / at.label.labelVariance; // 1 - R^2, NaN for classes
      return {method, error, test, unexplained, scatter: scatterOf(method, at, error), needs: at.entries * alpha, jump, cost: costOf(method, at)};
    });
    return {at, list, rows, thresholds: thresholdsOf(at), outside: outside(at), runs: runsAt(at)};
  };

  // --- elements -----------------------------------------------------------------------------------------------------

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value !== false && value !== undefined) element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  };
  const draw = (tag, attributes = {}, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  // --- the picture --------------------------------------------------------------------------------------------------

  const HEIGHT = 380, MARGIN = {left: 58, right: 14, top: 44, bottom: 48}, LEAST = 1e-3, MOST = 2;
  const ORDER = ["bayes", "algorithmic", "best", "minimal", "ridge", "descent"];
  const METHOD_OF = {gamp_rie: "bayes", nuclear_norm: "minimal", gradient_descent: "descent"};

  const spanOf = at => {
    const low = Math.min(0.02, at.alpha / 2), high = Math.max(3, 2 * at.alpha);
    return [low, high];
  };
  const curvesOf = (found, points) => {
    const [low, high] = spanOf(found.at), step = Math.log(high / low) / (points - 1);
    const alphas = Array.from({length: points}, (_, i) => low * Math.exp(i * step));
    for (const [, , where] of found.thresholds) { // on both sides of what breaks a curve
      if (where > low && where < high) alphas.push(where * (1 - 1e-3), where * (1 - 1e-5), where * (1 + 1e-5));
    }
    if (found.at.channel === "linear" && found.at.delta > 0 && high > 1) alphas.push(0.97, 0.99, 1.01, 1.03);
    alphas.sort((a, c) => a - c);
    return found.list.map(method => ({method, points: alphas.map(alpha => [alpha, method.at(alpha)])}));
  };

  const ticksOf = (low, high) => {
    const ticks = [];
    for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++) {
      for (const m of [1, 2, 5]) if (m * 10 ** k >= low * 0.999 && m * 10 ** k <= high * 1.001) ticks.push(m * 10 ** k);
    }
    return ticks;
  };
  const short = x => {
    if (x >= 1e-3 && x < 1e5) return Number(x.toPrecision(3)).toLocaleString("en-US");
    const [digit, power] = x.toExponential(0).split("e");
    return `${digit === "1" ? "" : `${digit}·`}${ten(power)}`;
  };
  // As many ticks as there is room for: all, or those that begin with 1.
  const sparse = (ticks, room) => (ticks.length * 46 <= room ? ticks : ticks.filter(t => /^1(\.0*)?e/.test(t.toExponential(3).replace("1.000", "1"))));

  const picture = (found, curves, width, summary) => {
    const {at} = found, [low, high] = spanOf(at);
    const inner = {width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom};
    const x = alpha => MARGIN.left + inner.width * Math.log(alpha / low) / Math.log(high / low);
    const y = error => MARGIN.top + inner.height * Math.log(MOST / Math.max(error, LEAST)) / Math.log(MOST / LEAST);
    const bottom = HEIGHT - MARGIN.bottom, right = width - MARGIN.right;
    const svg = draw("svg", {viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": summary});
    const text = (words, px, py, attributes = {}) => draw("text", {x: px, y: py, ...attributes}, words);
    for (const tick of ticksOf(LEAST, MOST)) {
      svg.append(draw("line", {class: "grid", x1: MARGIN.left, x2: right, y1: y(tick), y2: y(tick)}));
      if (tick < MOST) svg.append(text(short(tick), MARGIN.left - 6, y(tick) + 4, {"text-anchor": "end"}));
    }
    for (const tick of sparse(ticksOf(low, high), inner.width)) {
      svg.append(draw("line", {class: "grid", x1: x(tick), x2: x(tick), y1: MARGIN.top, y2: bottom}));
      svg.append(text(short(tick), x(tick), MARGIN.top - 6, {"text-anchor": "middle"}));
    }
    for (const tick of sparse(ticksOf(low * at.entries, high * at.entries), inner.width)) {
      const where = x(tick / at.entries);
      svg.append(draw("line", {class: "axis", x1: where, x2: where, y1: bottom, y2: bottom + 5}));
      svg.append(text(short(tick), where, bottom + 18, {"text-anchor": "middle"}));
    }
    svg.append(draw("path", {class: "axis", d: `M${MARGIN.left},${MARGIN.top}V${bottom}H${right}`}));
    svg.append(text("labelled sequences n", MARGIN.left + inner.width / 2, HEIGHT - 8, {"text-anchor": "middle", class: "name"}));
    svg.append(text("samples per entry α = n/(dL)", MARGIN.left + inner.width / 2, 14, {"text-anchor": "middle", class: "name"}));
    svg.append(text("error per entry", 14, MARGIN.top + inner.height / 2, {"text-anchor": "middle", class: "name", transform: `rotate(-90 14 ${MARGIN.top + inner.height / 2})`}));
    found.thresholds.forEach(([symbol, index, where], i) => {
      if (where <= low || where >= high) return;
      svg.append(draw("line", {class: "threshold", x1: x(where), x2: x(where), y1: bottom - 12, y2: bottom}));
      const label = text(symbol, x(where) - 3, bottom - 16 - 14 * (i % 4), {class: "small", "text-anchor": "end"});
      label.append(draw("tspan", {dy: 3, class: "index"}, index));
      svg.append(label);
    });
    for (const {method, points} of curves) {
      let path = "", drawing = false;
      for (const [alpha, error] of points) {
        if (!Number.isFinite(error) || error > MOST) {
          drawing = false;
          continue;
        }
        path += `${drawing ? "L" : "M"}${x(alpha).toFixed(1)},${y(error).toFixed(1)}`;
        drawing = error > LEAST; // below, the curve has left the picture
      }
      svg.append(draw("path", {class: `curve ${method.key}`, d: path}));
    }
    for (const run of found.runs) {
      for (const [alpha, d, error, standardError] of run.points) {
        if (alpha <= low || alpha >= high || error <= LEAST || error >= MOST) continue;
        const group = draw("g", {class: `run ${METHOD_OF[run.method]}`}, draw("title", {}, `a run's mean at d = ${d}: ${number(error)} ± ${number(standardError)}`));
        group.append(draw("line", {x1: x(alpha), x2: x(alpha), y1: y(error + standardError), y2: y(Math.max(error - standardError, LEAST))}));
        group.append(draw("circle", {cx: x(alpha), cy: y(error), r: 2 + Math.log10(d)}));
        svg.append(group);
      }
    }
    svg.append(draw("line", {class: "here", x1: x(at.alpha), x2: x(at.alpha), y1: MARGIN.top, y2: bottom}));
    svg.append(draw("line", {class: "here", x1: MARGIN.left, x2: right, y1: y(at.error), y2: y(at.error)}));
    for (const {method, error} of found.rows) {
      if (method.key === "descent" || !(error >= LEAST && error <= MOST)) continue;
      svg.append(draw("circle", {class: `point ${method.key}`, cx: x(at.alpha), cy: y(error), r: 5}));
    }
    if (found.list.length > 1) {
      found.list.forEach(({key, name}, i) => {
        const line = bottom - 12 - 16 * (found.list.length - 1 - i);
        svg.append(draw("path", {class: `curve ${key}`, d: `M${MARGIN.left + 8},${line - 4}h26`}));
        svg.append(text(name, MARGIN.left + 40, line, {class: "small here-label"}));
      });
    }
    const side = x(at.alpha) > width / 2 ? {"text-anchor": "end", x: x(at.alpha) - 6} : {x: x(at.alpha) + 6};
    svg.append(draw("text", {...side, y: MARGIN.top + 14, class: "small here-label"}, "you are here"));
    svg.append(text("the error that you want", right - 4, y(at.error) - 5, {"text-anchor": "end", class: "small here-label"}));
    svg.addEventListener("click", event => {
      const share = (event.clientX - svg.getBoundingClientRect().left - MARGIN.left) / inner.width;
      if (share >= 0 && share <= 1) svg.dispatchEvent(new CustomEvent("choose", {bubbles: true, detail: low * (high / low) ** share}));
    });
    return svg;
  };

  // --- table, words and code ----------------------------------------------------------------------------------------

  const swatch = key => draw("svg", {class: "swatch", viewBox: "0 0 30 10", width: 30, height: 10, "aria-hidden": "true"}, draw("path", {class: `curve ${key}`, d: "M1,5H29"}));

  const tableOf = found => {
    const {at} = found, classes = at.label.classes;
    const heads = ["method", "error per entry (1: guess zero)", classes ? "wrong classes" : "squared error of a new label", `n for an error of ${number(at.error)}`, "memory of one fit", "its time, about"];
    const shortest = Math.min(...found.rows.map(row => row.needs).filter(Number.isFinite));
    const body = found.rows.map(({method, error, test, unexplained, scatter, needs, jump, cost}) => make("tr", {},
      make("th", {scope: "row"}, swatch(method.key), ` ${method.name}`, make("small", {}, method.note)),
      make("td", {"data-head": heads[1]}, error > 0 && Number.isFinite(error) && scatter > 0 ? withScatter(error, error * scatter) : Number.isNaN(error) ? (method.points ? "not measured here" : "–") : error === Infinity ? "diverges" : number(error)),
      make("td", {"data-head": heads[2]}, make("span", {}, Number.isNaN(test) || test === Infinity ? "–" : classes ? `${number(100 * test)} %` : number(test),
        unexplained < Infinity ? make("small", {}, `R² ${(1 - unexplained).toFixed(3)}`) : "")),
      make("td", {"data-head": heads[3]}, make("span", {}, count(needs), needs > shortest * 1.0001 ? make("small", {}, `${number(Number((needs / shortest).toPrecision(3)))} × the least`) : "", jump ? make("small", {}, "a jump passes it") : "")),
      make("td", {"data-head": heads[4]}, cost ? bytes(cost.bytes) : "–"),
      make("td", {"data-head": heads[5]}, cost ? duration(cost.seconds) : "–"),
    ));
    return make("table", {class: "table"}, make("caption", {}, `d = ${at.d}, L = ${at.L}, r = ${at.r}, ${CHANNELS[at.channel].name}, ${CHANNELS[at.channel].parameters.map(key => `${key === "delta" ? "Δ" : key} = ${number(at[key])}`).join(", ")}, n = ${count(at.n)}: α = ${number(at.alpha)}, β = ${number(at.beta)}, ρ = ${number(at.rho)}`),
      make("thead", {}, make("tr", {}, ...heads.map(head => make("th", {scope: "col"}, head)))), make("tbody", {}, ...body));
  };

  const summaryOf = found => {
    const {at, rows} = found, told = rows.filter(row => Number.isFinite(row.error)).map(row => `${row.method.name} ${number(row.error)}`);
    return `Error per entry against the number of labelled sequences, both on logarithmic axes. At n = ${count(at.n)}: ${told.join("; ")}.`;
  };

  // What is read aloud after a change.
  const spokenOf = ({at, rows}) => `At n = ${count(at.n)}: ${rows.filter(row => Number.isFinite(row.error)).map(
    ({method, error, needs}) => `${method.name} ${number(error)}${Number.isFinite(needs) ? `, and ${count(needs)} for ${number(at.error)}` : ""}`).join("; ")}.`;

  const codeOf = (at, jump) => {
    const {parameters, python} = CHANNELS[at.channel], linear = at.channel === "linear";
    const sizes = `--d ${at.d} --L ${at.L} --r ${at.r}`;
    const label = (linear ? "" : ` --channel ${at.channel}`) + parameters.map(key => (key === "delta" && at.delta === 0 ? "" : ` --${key} ${at[key]}`)).join("");
    const shell = [`bsr predict ${sizes}${label} --alpha ${Number(at.alpha.toPrecision(12))}`, `bsr samples ${sizes}${label} --error ${at.error}`];
    const channel = `bsr.channels.${python}(${parameters.map(key => `${key}=${at[key]}`).join(", ")})`;
    const given = linear ? `delta=${at.delta}` : `channel=${channel}`;
    const problem = linear ? given : `delta=0.0, channel=${channel}`;
    const lines = ["import bsr", "", `d, L, r, n = ${at.d}, ${at.L}, ${at.r}, ${at.n}`, "ratios = dict(beta=L / d, rho=r / min(d, L))",
      `print(bsr.theory.bayes.mmse(n / (d * L), **ratios, ${given}))`];
    if (linear) {
      lines.push(`print(bsr.theory.nuclear_norm.mse(n / (d * L), **ratios, ${given}, lam=None))  # 0.0: interpolation`);
      lines.push(`print(bsr.theory.ridge.mse(n / (d * L), ${given}))`);
    }
    lines.push(`print(d * L * bsr.theory.bayes.sample_complexity(${at.error}, **ratios, ${given}))${jump ? "  # a jump passes this error: see bsr.theory.bayes.thresholds" : ""}`, "", "# the same on data", `data = bsr.Problem(n / (d * L), **ratios, ${problem}).sample(d)`,
      `fit = bsr.estimators.gamp_rie(data.X, data.y, rank=r${linear ? "" : `, channel=${channel}`})`, `print(bsr.mse(fit.S, data.S${at.label.even ? ", up_to_sign=True" : ""}))`);
    return {shell: shell.join("\n"), python: lines.join("\n")};
  };

  const codeBlock = (title, code) => {
    const done = make("span", {role: "status"});
    const copy = make("button", {type: "button", onclick: async () => {
      try {
        await navigator.clipboard.writeText(code);
        done.textContent = " copied";
      } catch {
        done.textContent = " select and copy it by hand here";
      }
    }}, "copy");
    return make("div", {class: "code"}, make("p", {}, `${title} `, copy, done), make("pre", {tabindex: 0, "aria-label": title}, code));
  };

  // --- the form -----------------------------------------------------------------------------------------------------

  const SLIDER = 1000; // steps, even in the logarithm; the first is zero where that is allowed
  const toSlider = (key, value) => {
    const {range: [low, high], zero} = FIELDS[key], first = zero ? 1 : 0;
    if (zero && value < low) return 0;
    return Math.round(first + (SLIDER - first) * Math.min(1, Math.max(0, Math.log(value / low) / Math.log(high / low))));
  };
  const fromSlider = (key, place) => {
    const {range: [low, high], zero} = FIELDS[key], first = zero ? 1 : 0;
    if (zero && place === 0) return 0;
    const value = low * (high / low) ** ((place - first) / (SLIDER - first));
    return WHOLE.includes(key) ? Math.round(Number(value.toPrecision(value < 1000 ? 3 : 2))) : Number(value.toPrecision(2));
  };

  class Explorer {
    constructor(place) {
      this.place = place;
      [this.state, this.linked, this.refused] = readAddress();
      this.inputs = {};
      this.build();
      this.update({fine: true, address: false});
      if (this.linked) this.place.scrollIntoView();
      window.addEventListener("hashchange", () => {
        const [state, found, refused] = readAddress();
        if (!found && !refused.length) return;
        [this.state, this.refused] = [state, refused];
        this.update({fine: true, address: false});
      });
      new ResizeObserver(() => this.paint()).observe(this.figure);
    }

    build() {
      const field = key => {
        const id = `explorer-${key}`, {label} = FIELDS[key];
        const box = make("input", {type: "number", id, step: "any", min: 0, inputmode: "decimal", "aria-describedby": `${id}-problem`, onchange: () => this.typed(key), oninput: () => this.typed(key)});
        const slider = make("input", {type: "range", min: 0, max: SLIDER, "aria-label": `${label}, slider`, onkeydown: event => this.stepped(key, event), oninput: () => this.slid(key, false), onchange: () => this.slid(key, true)});
        const problem = make("span", {class: "problem", id: `${id}-problem`, role: "alert"});
        this.inputs[key] = {box, slider, problem, row: make("div", {class: "field"}, make("label", {for: id}, label), box, slider, problem)};
        return this.inputs[key].row;
      };
      this.kind = make("select", {id: "explorer-channel", onchange: () => this.set({channel: this.kind.value})},
        ...Object.entries(CHANNELS).map(([value, {name}]) => make("option", {value}, name)));
      this.share = make("input", {type: "number", id: "explorer-share", step: "any", min: 0, max: 1, "aria-describedby": "explorer-share-problem", oninput: () => this.sharedIn()});
      this.shareProblem = make("span", {class: "problem", id: "explorer-share-problem", role: "alert"});
      this.shareRow = make("div", {class: "field"}, make("label", {for: "explorer-share"}, "or R² of the best possible prediction, 1/(1 + Δ)"), this.share, this.shareProblem);
      const presets = make("div", {class: "presets", role: "group", "aria-label": "examples"}, ...Object.entries(PRESETS).map(([name, values]) =>
        make("button", {type: "button", onclick: () => this.set({...values})}, name)));
      const form = make("form", {onsubmit: event => event.preventDefault()}, presets,
        make("fieldset", {}, make("legend", {}, "sequences and teacher"), field("d"), field("L"), field("r")),
        make("fieldset", {}, make("legend", {}, "labels"), make("div", {class: "field"}, make("label", {for: "explorer-channel", class: "whole"}, "kind, with h = ⟨X, S⟩/√(dL)"), this.kind),
          field("delta"), this.shareRow, field("scale"), field("rate"), field("gain")),
        make("fieldset", {}, make("legend", {}, "data or goal"), field("n"), field("error")));
      this.figure = make("div", {class: "picture"});
      this.figure.addEventListener("choose", event => {
        const {d, L} = this.state;
        this.set({n: Math.max(1, Math.round(Number((event.detail * d * L).toPrecision(3))))});
      });
      this.notice = make("p", {class: "notice", role: "status"});
      this.summary = make("p", {class: "visually-hidden", "aria-live": "polite"});
      this.table = make("div", {class: "table-place"});
      this.notes = make("p", {class: "notes"});
      this.code = make("details", {}, make("summary", {}, "The same from a shell and in Python"), this.codePlace = make("div"));
      const link = make("button", {type: "button", onclick: async () => {
        writeAddress(this.state);
        try {
          await navigator.clipboard.writeText(location.href);
          this.linkDone.textContent = " copied";
        } catch {
          this.linkDone.textContent = " it is in the address bar";
        }
      }}, "copy a link to this view");
      this.linkDone = make("span", {role: "status"});
      this.place.replaceChildren(form, this.notice, this.figure, this.summary, this.table, this.notes, make("p", {class: "link"}, link, this.linkDone), this.code);
      this.place.setAttribute("role", "region");
      this.place.setAttribute("aria-label", "explorer");
      const replaced = document.getElementById(this.place.dataset.replaces);
      (replaced?.closest(".cell") ?? replaced)?.classList.add("replaced-by-explorer");
    }

    set(values) {
      Object.assign(this.state, values);
      this.update({fine: true});
    }

    typed(key) {
      const {box, problem} = this.inputs[key], value = box.value === "" ? NaN : Number(box.value), words = wrong(key, value);
      box.setAttribute("aria-invalid", words !== "");
      problem.textContent = words;
      if (!words && value !== this.state[key]) {
        this.state[key] = value;
        this.update({fine: false, typing: key});
      }
    }

    slid(key, settled) {
      const value = fromSlider(key, Number(this.inputs[key].slider.value));
      if (!settled && value === this.state[key]) return;
      this.state[key] = value;
      this.update({fine: settled, sliding: key});
    }

    // An arrow key moves a whole number, though many places of the slider may mean the same one.
    stepped(key, event) {
      const way = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1}[event.key];
      if (!way || !WHOLE.includes(key)) return;
      event.preventDefault();
      const {slider} = this.inputs[key];
      let place = Number(slider.value);
      do place += way;
      while (place > 0 && place < SLIDER && way * (fromSlider(key, place) - this.state[key]) <= 0);
      slider.value = place;
      this.slid(key, true);
    }

    sharedIn() {
      const share = Number(this.share.value), fits = share > 0 && share <= 1;
      this.share.setAttribute("aria-invalid", !fits);
      this.shareProblem.textContent = fits ? "" : "must be above 0 and at most 1";
      if (!fits) return;
      this.state.delta = Number((1 / share - 1).toPrecision(6));
      this.update({fine: false, typing: "share"});
    }

    // Numbers at once; curves after the browser has shown them, and finer ones when nothing moves.
    update({fine, address = true, typing = null, sliding = null}) {
      const {state, inputs} = this;
      for (const key of Object.keys(FIELDS)) {
        const {box, slider, problem} = inputs[key];
        if (key !== typing) {
          box.value = state[key];
          box.setAttribute("aria-invalid", false);
          problem.textContent = "";
        }
        if (key !== sliding) slider.value = toSlider(key, state[key]);
        slider.setAttribute("aria-valuetext", String(state[key]));
      }
      this.kind.value = state.channel;
      const {parameters} = CHANNELS[state.channel];
      for (const key of ["delta", "scale", "rate", "gain"]) inputs[key].row.hidden = !parameters.includes(key);
      this.shareRow.hidden = state.channel !== "linear";
      if (typing !== "share") {
        this.share.value = Number((1 / (1 + state.delta)).toPrecision(4));
        this.share.setAttribute("aria-invalid", false);
        this.shareProblem.textContent = "";
      }
      if (address) {
        writeAddress(state);
        this.refused = [];
      }
      clearTimeout(this.later);
      clearTimeout(this.rest);
      this.later = setTimeout(() => this.compute(fine), 0);
      if (!fine) this.rest = setTimeout(() => this.compute(true), 400);
    }

    compute(fine) {
      this.found = evaluate(this.state);
      const {refused} = this.found;
      for (const part of [this.figure, this.table, this.notes, this.code]) part.hidden = Boolean(refused);
      if (refused) {
        this.curves = null;
        this.notice.textContent = `This page computes ${refused.join(" and ")}; for others, use the package.`;
        return;
      }
      this.tell();
      this.curves = curvesOf(this.found, fine ? 90 : 36);
      this.paint();
    }

    paint() {
      if (!this.curves) return;
      this.figure.replaceChildren(picture(this.found, this.curves, Math.max(280, this.figure.clientWidth), summaryOf(this.found)));
    }

    tell() {
      const {found} = this, {at} = found, code = codeOf(at, found.rows[0].jump);
      this.notice.textContent = [
        this.refused.length ? `The address asks for ${this.refused.join(", ")}, which cannot be.` : "",
        found.outside.length ? `Not tested here: ${found.outside.join("; ")}. Compare with the package.` : "",
      ].filter(Boolean).join(" ");
      this.table.replaceChildren(tableOf(found));
      clearTimeout(this.quiet);
      this.quiet = setTimeout(() => this.summary.textContent = spokenOf(found), 600);
      const parts = found.thresholds.flatMap(([symbol, index, where, meaning]) =>
        [` ${symbol}`, make("sub", {}, index), ` = ${number(where)}, ${meaning}: n = ${count(where * at.entries)}.`]);
      this.notes.replaceChildren(`Entries of the teacher: ${count(at.entries)}; free parameters: ${count(at.freedom)}.`, ...parts, " ", [
        found.rows.some(row => row.scatter > 0) ? "± is the standard deviation from one data set to the next, of the error over the mean square of the data set's own teacher; it stands where the law below has been seen to hold." : "",
        "Memory and time are of one fit in float32, at a known penalty, on the machine of the page on numerics.",
        at.rho > 1 ? "The rank exceeds a side: the teacher has full rank." : "",
        at.channel === "linear" ? "" : "For labels of this kind the book has no theory of methods that do not know the rank.",
        found.runs.length ? "Markers are runs of ours at these ratios, larger ones at larger d." : "",
      ].join(" "));
      this.codePlace.replaceChildren(codeBlock("Shell", code.shell), codeBlock("Python", code.python));
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const place of document.querySelectorAll(".bsr-explorer")) place.explorer = new Explorer(place);
  });

  return {evaluate, setting, curvesOf, BOX};
})();
