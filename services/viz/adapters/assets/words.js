// Numbers and elements. Text is only ever set as text: no name or title from the data can become markup.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);

const MINUS = "\u2212", THIN = "\u2009", TIMES = "\u00d7";

function fixed(value, places, plus) {
  const text = Math.abs(value).toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
  if (!/[1-9]/.test(text)) return text;
  return (value < 0 ? MINUS : plus ? "+" : "") + text;
}

function percent(value, plus) {
  const shown = Math.abs(value * 100);
  return fixed(value * 100, shown >= 10000 ? 0 : shown >= 100 ? 1 : 2, plus) + THIN + "%";
}

function span(seconds) {
  for (const [least, size, unit] of [[172800, 86400, "days"], [7200, 3600, "hours"], [120, 60, "minutes"]])
    if (seconds >= least) return fixed(seconds / size, seconds / size >= 10 ? 0 : 1) + " " + unit;
  return fixed(seconds, 0) + " seconds";
}

function show(name, value) {
  if (value === null || value === undefined) return "n/a";
  switch (data.metrics[name].unit) {
    case "rate": return percent(value, ["total_return", "cagr", "buy_and_hold_return"].includes(name));
    case "days": return span(value * 86400);
    case "times": return fixed(value, 1) + TIMES;
    case "count": return fixed(value, 0);
    default: return fixed(value, 2);
  }
}

// A short form for cells: no unit, few digits.
function brief(name, value) {
  if (value === null) return "n/a";
  const unit = data.metrics[name].unit;
  if (unit === "rate") return fixed(value * 100, Math.abs(value) >= 1 ? 0 : 1);
  if (unit === "count") return fixed(value, 0);
  return fixed(value, Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
}

const price = (value, places) => fixed(value, places);
const amount = (value) => value.toLocaleString("en-US", { maximumSignificantDigits: 6 });
const aligned = (value) => value.toLocaleString("en-US", { minimumSignificantDigits: 6, maximumSignificantDigits: 6 });
const moment = (s) => new Date(s * 1000).toISOString().slice(0, 19).replace("T", " ");
const tone = (value) => (value > 0 ? "up" : value < 0 ? "down" : "");

function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) node.style.setProperty(key, value);
    else if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// What a CSS colour is right now, as canvas understands it.
function colour(name) {
  const probe = el("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

function faded(rgb, alpha) {
  const [r, g, b] = rgb.match(/[\d.]+/g);
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

const tip = document.getElementById("tip");
function showTip(event, caption, rows) {
  tip.replaceChildren(
    el("table", {}, el("caption", {}, caption), el("tbody", {}, ...rows.map(([a, b]) => el("tr", {}, el("td", {}, a), el("td", {}, b)))))
  );
  tip.hidden = false;
  const at = event.type === "focus" ? event.target.getBoundingClientRect() : { right: event.clientX, bottom: event.clientY };
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(at.right + 14, innerWidth - box.width - 8)) + "px";
  tip.style.top = Math.max(8, at.bottom + 14 + box.height > innerHeight ? at.bottom - box.height - 14 : at.bottom + 14) + "px";
}
const hideTip = () => { tip.hidden = true; };

function tipOn(node, caption, rows) {
  const open = (event) => showTip(event, caption(), rows());
  node.addEventListener("pointermove", open);
  node.addEventListener("focus", open);
  node.addEventListener("pointerleave", hideTip);
  node.addEventListener("blur", hideTip);
  return node;
}

// A table whose columns sort. Columns: { label, value(i), text(i), class(i)?, node(i)?, left? }.
function sortedTable(columns, rows, limit, isBest) {
  const body = el("tbody");
  let order = rows, by = -1, falling = true;
  const heads = columns.map((column, k) => el("th", { scope: "col", class: column.left ? "side" : "", "aria-sort": "none" },
    el("button", { type: "button", onclick: () => sort(k) }, column.label)));
  function sort(k) {
    falling = by === k ? !falling : true;
    by = k;
    const value = columns[k].value, rank = (v) => (v === null || v === undefined ? -Infinity : v);
    order = [...rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === null || y === null) return (x === null) - (y === null);
      const d = typeof x === "string" ? x.localeCompare(y) : rank(x) - rank(y);
      return falling ? -d : d;
    });
    heads.forEach((head, i) => head.setAttribute("aria-sort", i !== k ? "none" : falling ? "descending" : "ascending"));
    fill();
  }
  function fill() {
    body.replaceChildren(...order.slice(0, limit.now).map((i) => el("tr", { class: isBest && isBest(i) ? "is-best" : "" },
      ...columns.map((c) => el("td", { class: (c.left ? "side " : "") + (c.class ? c.class(i) : "") }, c.node ? c.node(i) : c.text(i))))));
  }
  fill();
  return { table: el("table", { class: "list" }, el("thead", {}, el("tr", {}, ...heads)), body), fill };
}
