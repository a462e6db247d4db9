// The trade list, the tabs, the theme, printing; and the start.
const FIRST_TRADES = 20;

function drawTrades(article, d) {
  const box = article.querySelector(".scroll.trades");
  if (!box) return;
  const t = d.trades, limit = { now: FIRST_TRADES }, rows = t.side.map((_, i) => i), p = (v) => (v === null ? "–" : t.symbol ? aligned(v) : price(v, d.places + 1)); // slippage lies between ticks
  const why = { stop: "stopped out", trailing_stop: "trailing stop", target: "target", liquidation: "liquidated", signal: "signal", open: "still open",
    max_drawdown: "drawdown halt", max_daily_loss: "daily loss", margin_call: "margin call" };
  const columns = [
    { label: "No.", value: (i) => i, text: (i) => fixed(i + 1, 0) },
    ...(t.symbol ? [{ label: "Symbol", left: true, value: (i) => t.symbol[i], text: (i) => t.symbol[i] }] : []),
    { label: "Side", left: true, value: (i) => t.side[i], text: (i) => (t.side[i] > 0 ? "long" : "short") },
    { label: "Entered", value: (i) => t.entry_s[i], text: (i) => moment(t.entry_s[i]) },
    { label: "at", value: (i) => t.entry_price[i], text: (i) => p(t.entry_price[i]) },
    { label: "Left", value: (i) => t.exit_s[i], text: (i) => (t.exit_s[i] === null ? "–" : moment(t.exit_s[i])) },
    { label: "at", value: (i) => t.exit_price[i], text: (i) => p(t.exit_price[i]) },
    { label: "Held", value: (i) => (t.exit_s[i] === null ? null : t.exit_s[i] - t.entry_s[i]), text: (i) => (t.exit_s[i] === null ? "–" : span(t.exit_s[i] - t.entry_s[i])) },
    { label: "Quantity", value: (i) => t.quantity[i], text: (i) => aligned(t.quantity[i]) },
    { label: "Fees", value: (i) => t.fees[i], text: (i) => fixed(t.fees[i], 2) },
    { label: "Result", value: (i) => t.pnl[i], text: (i) => fixed(t.pnl[i], 2, true), class: (i) => tone(t.pnl[i]) },
    { label: "Return", value: (i) => t.return[i], text: (i) => percent(t.return[i], true), class: (i) => tone(t.return[i]) },
    { label: "Ended by", value: (i) => t.reason[i], node: (i) => el("span", { class: `tag ${{ stop: "stop", trailing_stop: "stop", liquidation: "stop", open: "open", max_drawdown: "stop", max_daily_loss: "stop", margin_call: "stop" }[t.reason[i]] || ""}` }, why[t.reason[i]] || t.reason[i]) },
  ];
  const inside = { bars: "–", trades: "its trades", guess: "a guess" };
  if (t.inside.some((how) => how !== "bars")) columns.push({ label: "Inside a bar", value: (i) => t.inside[i], text: (i) => inside[t.inside[i]] });
  const list = sortedTable(columns, rows, limit);
  box.append(list.table);
  const more = article.querySelector(".more");
  function say() {
    const shown = Math.min(limit.now, rows.length), parts = [];
    if (rows.length > FIRST_TRADES) parts.push(`${fixed(shown, 0)} of ${fixed(rows.length, 0)} shown`);
    if (t.n > rows.length) parts.push(`the first ${fixed(rows.length, 0)} of ${fixed(t.n, 0)} trades are in this page, all of them in the backtest's trades table`);
    more.replaceChildren(parts.join("; "));
    if (shown < rows.length) {
      const grow = (n, text) => el("button", { type: "button", onclick: () => { limit.now = n; list.fill(); say(); } }, text);
      more.append(...(rows.length - shown > 200 ? [grow(shown + 200, "Show 200 more")] : []), grow(rows.length, `Show all`));
    }
  }
  say();
}

const drawn = new Set();
function open(article) {
  article.hidden = false;
  const index = Number(article.dataset.index);
  if (drawn.has(index)) return;
  drawn.add(index);
  const d = data.symbols[index];
  drawChart(article, d);
  drawGrid(article, d);
  drawTrades(article, d);
}

const tabs = [...document.querySelectorAll("[role=tab]")];
function choose(tab) {
  for (const other of tabs) {
    const isIt = other === tab;
    other.setAttribute("aria-selected", isIt);
    other.tabIndex = isIt ? 0 : -1;
    const article = document.getElementById(other.getAttribute("aria-controls"));
    if (isIt) open(article); else article.hidden = true;
  }
}
for (const tab of tabs) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    next.focus();
    choose(next);
  });
}

// Theme: the system's until the reader chooses; the choice lasts as long as the page, for a file has no storage.
const root = document.documentElement, systemDark = matchMedia("(prefers-color-scheme: dark)");
const repaint = () => charts.forEach(paint);
const themeButton = document.getElementById("theme");
const isDark = () => (root.style.colorScheme ? root.style.colorScheme === "dark" : systemDark.matches);
const nameTheme = () => { themeButton.textContent = isDark() ? "Light" : "Dark"; };
themeButton.hidden = false;
nameTheme();
themeButton.addEventListener("click", () => { root.style.colorScheme = isDark() ? "light" : "dark"; nameTheme(); repaint(); });
systemDark.addEventListener("change", () => { nameTheme(); repaint(); });

// On paper: light, and each chart as a picture that fits the page.
let before = "";
addEventListener("beforeprint", () => {
  before = root.style.colorScheme;
  root.style.colorScheme = "light";
  repaint();
  for (const view of charts) {
    const picture = el("img", { src: view.chart.takeScreenshot().toDataURL(), alt: "", class: "on-paper" });
    for (const child of view.box.children) child.hidden = true;
    view.box.append(picture);
  }
});
addEventListener("afterprint", () => {
  root.style.colorScheme = before;
  for (const view of charts) {
    view.box.querySelectorAll(".on-paper").forEach((picture) => picture.remove());
    for (const child of view.box.children) child.hidden = false;
  }
  repaint();
});

open(document.querySelector(".symbol"));
document.body.dataset.ready = "true";
