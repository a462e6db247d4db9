// Candles with trades and volume, equity against buy-and-hold, drawdown: three panes over one axis of time.
const charts = [];
const PANES = ["", "Equity, and buy and hold", "Drawdown"];

function paint(view) {
  const ink = colour("ink"), line = colour("line"), up = colour("up"), down = colour("down"), own = colour("own"), other = colour("other");
  view.chart.applyOptions({
    layout: { background: { type: "solid", color: colour("sheet") }, textColor: colour("quiet"), fontSize: 11,
      fontFamily: getComputedStyle(document.body).fontFamily, attributionLogo: true,
      panes: { separatorColor: line, separatorHoverColor: faded(own, 0.15), enableResize: true } },
    grid: { vertLines: { color: faded(line, 0.55) }, horzLines: { color: faded(line, 0.55) } },
    rightPriceScale: { borderColor: line }, timeScale: { borderColor: line },
    crosshair: { mode: 0, vertLine: { color: other, labelBackgroundColor: ink }, horzLine: { color: other, labelBackgroundColor: ink } },
  });
  const s = view.series, d = view.d;
  s.candles.applyOptions({ upColor: faded(up, 0.85), downColor: faded(down, 0.85), wickUpColor: up, wickDownColor: down, borderVisible: false });
  s.volume.setData(d.time.map((time, i) => ({ time, value: d.volume[i], color: faded(d.close[i] >= d.open[i] ? up : down, 0.28) })));
  s.equity.applyOptions({ color: own });
  s.held.applyOptions({ color: other });
  for (const name of ["low", "high"]) if (s[name]) s[name].applyOptions({ color: faded(own, 0.35) });
  s.drawdown.applyOptions({ lineColor: down, topColor: faded(down, 0.05), bottomColor: faded(down, 0.3) });
  view.names.forEach((name, i) => name.applyOptions({ lines: [{ text: i || !d.is_account ? PANES[i] : "All symbols in equal parts, bought and kept",  color: colour("quiet"), fontSize: 11, fontFamily: getComputedStyle(document.body).fontFamily }] }));
  mark(view);
}

// The nearer the marks are to each other on the screen, the smaller they are: 0 dots, 1 small, 2 full size.
function markLevel(view) {
  const gap = (view.chart.timeScale().options().barSpacing * view.d.time.length) / (view.n_marks || 1);
  return gap >= 12 ? 2 : gap >= 5 ? 1 : 0;
}

// Trades per candle and kind, so that a merged candle with many trades carries one mark with their number.
function mark(view) {
  const { d } = view, t = d.trades, found = new Map();
  const add = (candle, kind) => found.set(candle * 4 + kind, (found.get(candle * 4 + kind) || 0) + 1);
  if (view.showTrades) {
    for (let i = 0; i < t.side.length; i++) {
      add(t.entry[i], t.side[i] > 0 ? 0 : 1);
      if (t.exit[i] !== null) add(t.exit[i], ["stop", "liquidation", "max_drawdown", "max_daily_loss", "margin_call"].includes(t.reason[i]) ? 3 : 2);
    }
  }
  const kinds = [
    { position: "belowBar", shape: "arrowUp", color: colour("up") },
    { position: "aboveBar", shape: "arrowDown", color: colour("down") },
    { position: "aboveBar", shape: "circle", color: colour("own") },
    { position: "aboveBar", shape: "square", color: colour("warn") },
  ];
  view.n_marks = found.size;
  view.level = markLevel(view);
  const size = [0.25, 0.6, 1][view.level];
  const marks = [...found.keys()].sort((a, b) => a - b).map((key) => {
    const many = found.get(key);
    return { time: d.time[Math.floor(key / 4)], ...kinds[key % 4], size, text: many > 1 && view.level ? String(many) : undefined };
  });
  view.marks.setMarkers(marks);
}

// A drawdown's scale ends at zero, and has a height even where there was none.
function upToZero(original) {
  const found = original();
  return { priceRange: { minValue: Math.min(found ? found.priceRange.minValue : 0, -0.001), maxValue: 0 }, margins: { above: 6, below: 6 } };
}

function drawChart(article, d) {
  const L = LightweightCharts, box = article.querySelector(".chart");
  const chart = L.createChart(box, { autoSize: true, localization: { locale: "en-GB" },
    rightPriceScale: { minimumWidth: 76 },
    timeScale: { timeVisible: true, secondsVisible: d.time.some((time) => time % 60), rightOffset: 2, maxBarSpacing: 40, minBarSpacing: 0.05 } });
  const priceFormat = { type: "custom", minMove: Math.pow(10, -d.places), formatter: (v) => (v < 0 ? "" : fixed(v, d.places)) };
  const money = { type: "custom", minMove: 0.01, formatter: (v) => fixed(v, Math.abs(v) >= 100000 ? 0 : 2) };
  const rate = { type: "custom", minMove: 0.0001, formatter: (v) => fixed(v * 100, 1) + THIN + "%" };
  const quietLine = { priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false };
  const series = {};
  series.candles = chart.addSeries(L.CandlestickSeries, { priceFormat, priceLineVisible: false }, 0);
  series.volume = chart.addSeries(L.HistogramSeries, { priceFormat: { type: "volume" }, priceScaleId: "volume", ...quietLine }, 0);
  chart.priceScale("volume", 0).applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
  series.candles.priceScale().applyOptions({ scaleMargins: { top: 0.08, bottom: 0.2 } });
  series.held = chart.addSeries(L.LineSeries, { priceFormat: money, lineWidth: 1.5, priceLineVisible: false, crosshairMarkerVisible: false }, 1);
  if (d.equity_low) for (const name of ["low", "high"]) series[name] = chart.addSeries(L.LineSeries, { priceFormat: money, lineWidth: 1, ...quietLine }, 1);
  series.equity = chart.addSeries(L.LineSeries, { priceFormat: money, lineWidth: 2, priceLineVisible: false }, 1);
  series.drawdown = chart.addSeries(L.AreaSeries, { priceFormat: rate, lineWidth: 1, invertFilledArea: true, autoscaleInfoProvider: upToZero, priceLineVisible: false, lastValueVisible: false }, 2);
  [11, 6, 4].forEach((factor, i) => chart.panes()[i].setStretchFactor(factor));
  const line = (values) => d.time.map((time, i) => ({ time, value: values[i] }));
  series.candles.setData(d.time.map((time, i) => ({ time, open: d.open[i], high: d.high[i], low: d.low[i], close: d.close[i] })));
  series.held.setData(line(d.buy_and_hold));
  if (d.equity_low) { series.low.setData(line(d.equity_low)); series.high.setData(line(d.equity_high)); }
  series.equity.setData(line(d.equity));
  series.drawdown.setData(line(d.drawdown));
  const names = chart.panes().map((pane) => L.createTextWatermark(pane, { horzAlign: "left", vertAlign: "top", lines: [] }));
  const view = { chart, series, d, box, names, showTrades: true, marks: L.createSeriesMarkers(series.candles, []) };
  charts.push(view);
  paint(view);
  whole(view);
  mark(view);
  chart.timeScale().subscribeVisibleLogicalRangeChange(() => requestAnimationFrame(() => markLevel(view) !== view.level && mark(view)));
  legend(article, view);
  tools(article, view);
  return view;
}

// Few bars keep a natural width, at the left; many fill the whole width.
function whole(view) {
  const n = view.d.time.length;
  view.chart.timeScale().setVisibleLogicalRange({ from: -0.5, to: Math.max(n, 40) + n * 0.015 });
}

function legend(article, view) {
  const { d } = view, node = article.querySelector(".legend");
  const at = new Map(d.time.map((time, i) => [time, i])), seconds = d.time.some((time) => time % 60);
  const item = (label, text, cls) => el("span", { class: cls || "" }, label + " ", el("b", {}, text));
  const clock = (s) => (seconds ? moment(s) : moment(s).slice(0, 16));
  node.classList.toggle("long", Boolean(d.equity_low));
  function say(i) {
    const p = (value) => price(value, d.places);
    const begun = clock(d.from[i]), known = clock(d.time[i]);
    node.replaceChildren(el("b", {}, begun.slice(0, 10) === known.slice(0, 10) ? `${begun} – ${known.slice(11)}` : `${begun} – ${known}`),
      item("O", p(d.open[i])), item("H", p(d.high[i])), item("L", p(d.low[i])), item("C", p(d.close[i])), item(d.is_account ? "Traded" : "Volume", amount(d.volume[i])),
      item("Equity", fixed(d.equity[i], 2), "own"),
      d.equity_low ? item("from–to", `${fixed(d.equity_low[i], 2)} – ${fixed(d.equity_high[i], 2)}`) : null,
      item("Buy and hold", fixed(d.buy_and_hold[i], 2)), item("Drawdown", percent(d.drawdown[i]), "deep"));
    [...node.childNodes].forEach((child) => child.nodeName === "#text" && child.remove());
  }
  const last = d.time.length - 1;
  say(last);
  view.chart.subscribeCrosshairMove((move) => say(at.has(move.time) ? at.get(move.time) : last));
  const merged = article.querySelector(".merged");
  if (d.equity_low) merged.textContent = `${fixed(d.n_bars, 0)} bars merged into ${fixed(d.time.length, 0)} candles; thin lines: lowest and highest equity within each`;
}

function tools(article, view) {
  const box = article.querySelector(".chart-block .tools");
  box.hidden = false;
  box.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.act === "fit") return whole(view);
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", pressed);
    if (button.dataset.act === "log") view.series.candles.priceScale().applyOptions({ mode: pressed ? 1 : 0 });
    if (button.dataset.act === "marks") { view.showTrades = pressed; mark(view); }
  });
}
