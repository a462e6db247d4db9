// The grid of trials: a heat map over two parameters, bars over one, and its best and worst.
function drawGrid(article, d) {
  const block = article.querySelector(".grid-block");
  if (!block) return;
  const t = d.trials, names = Object.keys(t.axes).filter((name) => t.axes[name].length > 1);
  const state = { metric: t.metrics[data.objective].some((v) => v !== null) ? data.objective : "total_return", x: names[names.length - 1], y: names.length > 1 ? names[names.length - 2] : null, fixed: {} };
  for (const name of Object.keys(t.axes)) state.fixed[name] = t.index[name][t.best];
  const heat = block.querySelector(".heat-wrap"), tops = block.querySelector(".extremes"), tools = block.querySelector(".selectors");

  function selector(label, options, value, change) {
    const select = el("select", { onchange: (event) => { change(event.target.value); refresh(); } },
      ...options.map(([key, text]) => el("option", { value: key }, text)));
    select.value = value;
    return el("label", {}, label, select);
  }
  function refresh() {
    const shown = names.map((name) => [name, name]);
    const others = names.filter((name) => name !== state.x && name !== state.y);
    tools.hidden = false;
    tools.replaceChildren(
      selector("Colour by", Object.entries(data.metrics).filter(([key]) => key !== "buy_and_hold_return").map(([key, m]) => [key, m.label]), state.metric, (v) => { state.metric = v; }),
      ...(names.length > 2 ? [
        selector("Across", shown, state.x, (v) => { if (v === state.y) state.y = state.x; state.x = v; }),
        selector("Down", shown, state.y, (v) => { if (v === state.x) state.x = state.y; state.y = v; }),
        ...others.map((name) => selector(name + " =", t.axes[name].map((v, i) => [i, String(v)]), state.fixed[name], (v) => { state.fixed[name] = Number(v); })),
      ] : []));
    heat.replaceChildren(...(state.y ? heatMap(t, state) : state.x ? barChart(t, state) : []));
    tops.replaceChildren(...extremes(t, state.metric, names));
  }
  refresh();
}

// How far a value lies from neutral: hue, and 0..1. Neutral is a metric's middle, or the end of its range that is least.
function shader(t, metric) {
  const m = data.metrics[metric], known = t.metrics[metric].filter((v) => v !== null);
  const low = Math.min(...known), high = Math.max(...known);
  if (m.middle !== null) {
    // The 98th percentile, so that one outlier does not bleach all the others.
    const away = known.map((v) => Math.abs(v - m.middle)).sort((a, b) => a - b);
    const full = away[Math.ceil(away.length * 0.98) - 1] || 1;
    return { some: known.length > 0, low: m.middle - full, high: m.middle + full, middle: m.middle,
      of: (v) => [v >= m.middle ? "up" : "down", Math.min(Math.abs(v - m.middle) / full, 1)] };
  }
  const hue = metric === "max_drawdown" ? "down" : "own", flip = metric === "max_drawdown";
  return { some: known.length > 0, low, high, middle: null, hue, flip, of: (v) => [hue, high > low ? 0.08 + 0.92 * (flip ? (high - v) / (high - low) : (v - low) / (high - low)) : 0.4] };
}

function shade(node, shading, value) {
  if (value === null) return node.classList.add("none");
  const [hue, part] = shading.of(value);
  node.style.setProperty("--hue", `var(--${hue})`);
  node.style.setProperty("--mix", `${Math.round(part * 82)}%`);
  if (part > 0.9) node.classList.add("full");
}

function trialTip(node, t, i) {
  return tipOn(node, () => Object.keys(t.axes).map((name) => `${name} ${t.axes[name][t.index[name][i]]}`).join(" · ") || "trial",
    () => ["total_return", "cagr", "sharpe_ratio", "sortino_ratio", "calmar_ratio", "max_drawdown", "win_rate", "profit_factor", "n_trades", "fees_paid"]
      .map((name) => [data.metrics[name].label, show(name, t.metrics[name][i])]));
}

// The trials on the plane through the fixed values of the parameters not shown.
function onPlane(t, state) {
  const others = Object.keys(t.axes).filter((name) => name !== state.x && name !== state.y);
  return t.combo.map((_, i) => i).filter((i) => others.every((name) => t.index[name][i] === state.fixed[name]));
}

function heatMap(t, state) {
  const xs = t.axes[state.x], ys = t.axes[state.y], shading = shader(t, state.metric), at = new Map();
  for (const i of onPlane(t, state)) at.set(t.index[state.y][i] * xs.length + t.index[state.x][i], i);
  const wide = xs.length <= 16, step = Math.ceil(xs.length / 24), yStep = ys.length > 40 ? Math.ceil(ys.length / 20) : 1;
  const dense = xs.length > 40 || ys.length > 40;
  const grid = el("div", { class: dense ? "heat dense" : "heat" });
  grid.style.gridTemplateColumns = `max-content repeat(${xs.length}, minmax(${wide ? 48 : dense ? 4 : 12}px, 1fr))`;
  const corner = el("div", { class: "axis y name" }, `${state.y} \u2193`);
  const across = el("div", { class: "axis name" }, `${state.x} \u2192`);
  across.style.gridColumn = "2 / -1";
  grid.append(corner, across);
  ys.forEach((y, r) => {
    grid.append(el("div", { class: "axis y" }, r % yStep ? "" : String(y)));
    xs.forEach((x, c) => {
      const i = at.get(r * xs.length + c), value = i === undefined ? null : t.metrics[state.metric][i];
      const cell = el("div", { class: "cell" + (wide ? "" : " small") + (i === t.best ? " best" : ""), tabindex: i === t.best ? 0 : -1, "data-trial": i }, wide ? brief(state.metric, value) : "");
      shade(cell, shading, value);
      grid.append(i === undefined ? cell : trialTip(cell, t, i));
    });
  });
  grid.append(el("div", { class: "axis" }), ...xs.map((x, c) => el("div", { class: "axis" }, c % step ? "" : String(x))));
  return [grid, scale(state.metric, shading)];
}

function barChart(t, state) {
  const rows = onPlane(t, state).sort((a, b) => t.index[state.x][a] - t.index[state.x][b]);
  const values = rows.map((i) => t.metrics[state.metric][i]), shading = shader(t, state.metric);
  const known = values.filter((v) => v !== null), high = Math.max(0, ...known), low = Math.min(0, ...known), all = high - low || 1;
  const step = Math.ceil(rows.length / 40);
  const bars = el("div", { class: "bars" }, ...rows.map((i, k) => {
    const value = values[k], fill = el("i"), well = el("div", { class: "well" });
    if (value !== null) {
      fill.style.top = `${((high - Math.max(value, 0)) / all) * 100}%`;
      fill.style.height = `${Math.max((Math.abs(value) / all) * 100, 0.6)}%`;
      const [hue, part] = shading.of(value);
      fill.style.setProperty("--hue", `var(--${hue})`);
      fill.style.setProperty("--mix", `${Math.round(25 + part * 65)}%`);
      well.append(fill);
    }
    return trialTip(el("div", { class: "bar" + (i === t.best ? " best" : ""), tabindex: -1, "data-trial": i }, well,
      el("span", { class: "axis" }, k % step ? "" : String(t.axes[state.x][t.index[state.x][i]]))), t, i);
  }));
  return [bars, el("p", { class: "scale" }, `${data.metrics[state.metric].label} by ${state.x}, from ${show(state.metric, low)} to ${show(state.metric, high)}; zero is where the bars begin.`)];
}

function scale(metric, shading) {
  if (!shading.some) return el("p", { class: "scale" });
  const ramp = el("i"), hue = shading.hue || "own";
  ramp.style.background = shading.middle !== null
    ? "linear-gradient(90deg, color-mix(in oklab, var(--down) 82%, var(--faint)), var(--faint), color-mix(in oklab, var(--up) 82%, var(--faint)))"
    : `linear-gradient(${shading.flip ? 270 : 90}deg, color-mix(in oklab, var(--${hue}) 7%, var(--faint)), color-mix(in oklab, var(--${hue}) 82%, var(--faint)))`;
  const text = (value) => show(metric, value);
  return el("p", { class: "scale" }, text(shading.low), ramp, text(shading.high), el("span", { class: "swatch" }), "best trial, shown above");
}

function extremes(t, metric, names) {
  const good = data.metrics[metric].good || 1;
  const ranked = t.combo.map((_, i) => i).filter((i) => t.metrics[metric][i] !== null)
    .sort((a, b) => good * (t.metrics[metric][b] - t.metrics[metric][a]) || a - b);
  const undefinedOnes = t.combo.length - ranked.length, n = Math.min(8, Math.ceil(ranked.length / 2));
  const columnNames = [...new Set([metric, "total_return", "sharpe_ratio", "max_drawdown", "n_trades"])].slice(0, 5);
  const short = { total_return: "Return", sharpe_ratio: "Sharpe", max_drawdown: "Drawdown", n_trades: "Trades", sortino_ratio: "Sortino", calmar_ratio: "Calmar", cagr: "CAGR" };
  const columns = [
    ...names.map((name) => ({ label: name, value: (i) => t.index[name][i], text: (i) => String(t.axes[name][t.index[name][i]]) })),
    ...columnNames.map((name) => ({ label: short[name] || data.metrics[name].label, value: (i) => t.metrics[name][i], text: (i) => show(name, t.metrics[name][i]),
      class: (i) => (["total_return", "cagr"].includes(name) ? tone(t.metrics[name][i]) : "") })),
  ];
  const table = (title, rows) => el("div", {}, el("h3", {}, title), sortedTable(columns, rows, { now: n }, (i) => i === t.best).table);
  const label = data.metrics[metric].inline;
  const way = data.metrics[metric].good ? ["Best", "Worst"] : ["Highest", "Lowest"];
  const notes = undefinedOnes ? [el("p", { class: "quiet wide" }, `${fixed(undefinedOnes, 0)} of ${fixed(t.combo.length, 0)} trials have no ${label}: ${data.metrics[metric].undefined}.`)] : [];
  return ranked.length ? [table(`${way[0]} ${n} by ${label}`, ranked.slice(0, n)), table(`${way[1]} ${n} by ${label}`, ranked.slice(-n).reverse()), ...notes] : notes;
}
