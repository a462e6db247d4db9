"use strict";
const byId = (id) => document.getElementById(id);
const POLL_MS = 1500, HEALTH_MS = 6000, PAGE = 25, MOST = 1000;
const ACTIVE = ["PENDING", "STARTED", "RETRY"];
const STATES = ["", "PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"];
const KEY = "tickloom-token", LOOK = "tickloom-theme";
const cards = new Map();
let state = "", limit = PAGE, token = sessionStorage.getItem(KEY) || "", timer = 0, healthAt = 0, round = 0;

// All text from the gateway goes through textContent: names and messages are data, never markup.
function node(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
function put(target, text) { if (target.textContent !== text) target.textContent = text; }
function show(target, visible) { if (target.hidden === visible) target.hidden = !visible; }

async function ask(path, options = {}) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  return fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(20000) });
}

// numbers and times ------------------------------------------------------------------------------------------
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
function span(seconds) {
  if (seconds < 9.95) return `${Math.max(seconds, 0).toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}
function search(stage) {
  if (!stage.trials) return "";
  const { done, total } = stage.trials, best = stage.best, count = `${whole.format(done)} of ${whole.format(total)} trials`;
  if (!best) return count;
  const of = Object.entries(best.parameters).map(([name, value]) => `${name} ${value}`).join(", ");
  return `${count} · best ${best.objective.replaceAll("_", " ")} ${Number(best.value.toPrecision(3))} (${[best.symbol, of].filter(Boolean).join(" ")})`;
}
const clock = (iso) => iso.slice(0, 16).replace("T", " ");

// one task ---------------------------------------------------------------------------------------------------
function stageCell(stage) {
  const cell = { root: node("li", "stage"), name: node("a", "", stage.stage), share: node("span", "share"), fill: node("div", "fill"), note: node("span", "note") };
  const label = node("div", "label"), track = node("div", "track");
  label.append(cell.name, cell.share);
  track.append(cell.fill);
  track.setAttribute("role", "progressbar");
  track.setAttribute("aria-label", stage.stage);
  cell.track = track;
  cell.root.append(label, track, cell.note);
  return cell;
}
function drawStage(cell, stage) {
  const running = stage.state === "STARTED" || stage.state === "RETRY";
  cell.root.dataset.state = stage.state;
  cell.root.classList.toggle("cached", stage.cached);
  cell.root.classList.toggle("waiting", running && !stage.total);
  const filled = stage.state === "FAILURE" ? Math.max(stage.progress, 0.04) : stage.progress;
  cell.fill.style.transform = running && !stage.total ? "" : `scaleX(${filled})`;
  cell.track.setAttribute("aria-valuenow", Math.round(stage.progress * 100));
  put(cell.share, running && stage.total ? `${Math.floor(stage.progress * 100)} %` : "");
  if (stage.state === "SUCCESS") { cell.name.href = `/artifacts/${stage.artifact_id}`; cell.name.title = "Manifest and lineage as JSON"; }
  const [text, more] = stageNote(stage, running);
  put(cell.note, text);
  cell.note.title = more;
}
function stageNote(stage, running) {
  const speed = stage.rows_per_s ? `${short.format(stage.rows_per_s)} rows/s` : "";
  const rows = stage.rows ? `${whole.format(stage.rows)} rows` : "";
  const trials = search(stage), left = running && stage.seconds_left !== null ? `${span(stage.seconds_left)} left` : "";
  const more = [stage.message, trials, rows, speed, left, stage.attempt > 1 ? `attempt ${stage.attempt}` : ""].filter(Boolean).join(" · ");
  if (stage.cached) return ["was there already", more];
  if (stage.state === "SUCCESS") return [speed || "done", more];
  if (stage.state === "RETRY") return [`attempt ${stage.attempt + 1} follows`, more];
  if (running) return [[trials || speed, trials ? "" : stage.message, left].filter(Boolean).join(" · ") || "starting", more];
  return [{ FAILURE: "failed", REVOKED: "cancelled" }[stage.state] || "", more];
}

function taskCard(task) {
  const card = { root: node("article", "task"), state: node("span", "state"), name: node("span", "name"), meta: node("div", "meta"), actions: node("div", "actions"), error: node("div", "error"), warnings: node("ul", "warnings"), stages: [] };
  const top = node("div", "top"), list = node("ol", "stages"), id = node("code", "", task.task_id.slice(0, 8));
  id.title = `task ${task.task_id}`;
  card.kind = node("span"); card.made = node("span"); card.took = node("span");
  card.meta.append(card.kind, id, card.made, card.took);
  card.report = node("a", "report", "Report");
  card.cancel = node("button", "cancel", "Cancel");
  card.cancel.type = "button";
  card.cancel.addEventListener("click", () => cancel(card, task.task_id));
  card.actions.append(card.report, card.cancel);
  top.append(card.state, card.name, card.meta, card.actions);
  list.classList.toggle("single", task.stages.length === 1);
  for (const stage of task.stages) {
    const cell = stageCell(stage);
    card.stages.push(cell);
    list.append(cell.root);
  }
  card.root.append(top, list, card.error, card.warnings);
  return card;
}
function drawTask(card, task) {
  const text = JSON.stringify(task), active = ACTIVE.includes(task.state);
  const end = task.finished ? Date.parse(task.finished) : Date.now();
  put(card.took, task.state === "PENDING" ? "" : `${active ? "for" : "took"} ${span((end - Date.parse(task.created)) / 1000)}`);
  if (card.text === text) return;
  card.text = text;
  card.root.dataset.state = task.state;
  put(card.state, task.state);
  put(card.name, task.name || task.kind);
  put(card.kind, task.name ? task.kind : "");
  show(card.kind, Boolean(task.name));
  put(card.made, clock(task.created));
  const viz = task.stages.find((stage) => stage.stage === "viz" && stage.state === "SUCCESS");
  show(card.report, Boolean(viz));
  if (viz) card.report.href = `/artifacts/${viz.artifact_id}/files/report.html`;
  put(card.report, viz && viz.stale ? "Report, stale" : "Report");
  card.root.classList.toggle("stale", Boolean(task.stale));
  show(card.cancel, active);
  task.stages.forEach((stage, i) => drawStage(card.stages[i], stage));
  drawError(card.error, task);
  card.warnings.replaceChildren(...task.warnings.map((warning) => node("li", "", warning)));
  show(card.warnings, task.warnings.length > 0);
}
function drawError(target, task) {
  const error = task.error;
  show(target, Boolean(error));
  if (!error) return;
  const what = node("p", "", error.detail || error.title || ""), next = node("p", "next"), type = String(error.type || "").split(":").pop();
  next.append(node("b", "", "Next: "), error.next || "");
  target.replaceChildren(what);
  if (error.next) target.append(next);
  if (type && type !== "blank") target.append(node("span", "type", `${type} · in ${task.stage}${task.state === "RETRY" ? " · it is tried again" : ""}`));
}
async function cancel(card, id) {
  if (!card.cancel.classList.contains("sure")) {
    card.cancel.classList.add("sure");
    put(card.cancel, "Cancel for good?");
    setTimeout(() => { card.cancel.classList.remove("sure"); put(card.cancel, "Cancel"); }, 4000);
    return;
  }
  card.cancel.disabled = true;
  try {
    const answer = await ask(`/tasks/${encodeURIComponent(id)}`, { method: "DELETE" });
    if (!answer.ok) say((await answer.json()).detail);
  } catch { say("The gateway does not answer: nothing was cancelled."); }
  card.cancel.disabled = false;
  poll();
}

// the list ---------------------------------------------------------------------------------------------------
function draw(page) {
  commands();
  const list = byId("tasks"), seen = new Set();
  page.tasks.forEach((task, i) => {
    seen.add(task.task_id);
    if (!cards.has(task.task_id)) cards.set(task.task_id, taskCard(task));
    const card = cards.get(task.task_id);
    drawTask(card, task);
    if (list.children[i] !== card.root) list.insertBefore(card.root, list.children[i] || null);
  });
  for (const [id, card] of cards) if (!seen.has(id)) { card.root.remove(); cards.delete(id); }
  show(byId("empty"), !page.tasks.length && !state);
  show(byId("nothing"), !page.tasks.length && Boolean(state));
  put(byId("nothing-text"), `No task is ${state}.`);
  show(byId("older"), Boolean(page.next) && limit < MOST);
  document.body.dataset.ready = "true";
}
let said = 0;
function say(text) {
  clearTimeout(said);
  put(byId("banner"), text);
  show(byId("banner"), Boolean(text));
  if (text) said = setTimeout(() => say(""), 8000);
}
function lockOut(wrong) {
  token = "";
  sessionStorage.removeItem(KEY);
  show(byId("sign-in"), true);
  show(byId("signed-in"), false);
  show(byId("wrong"), wrong);
  byId("tasks").replaceChildren();
  byId("parts").replaceChildren();
  cards.clear();
  byId("token").focus();
  document.body.dataset.ready = "true";
}
async function poll() {
  clearTimeout(timer);
  const mine = ++round;
  try {
    const answer = await ask(`/tasks?limit=${limit}${state ? `&state=${state}` : ""}`);
    if (mine !== round) return;
    if (answer.status === 401) return lockOut(Boolean(token));
    if (!answer.ok) throw new Error(String(answer.status));
    const page = await answer.json();
    if (mine !== round) return;
    show(byId("sign-in"), false);
    show(byId("signed-in"), true);
    if (lost) { lost = false; say(""); }
    draw(page);
  } catch {
    if (mine !== round) return;
    lost = true;
    say("The gateway does not answer. Tasks go on by themselves; this page tries again.");
  }
  if (Date.now() - healthAt > HEALTH_MS) { healthAt = Date.now(); health(); }
  if (!document.hidden) timer = setTimeout(poll, POLL_MS);
}
let lost = false;
async function health() {
  try {
    const answer = await ask("/readyz");
    if (answer.status !== 200 && answer.status !== 503) return;
    const { parts } = await answer.json();
    byId("parts").replaceChildren(...Object.entries({ gateway: true, ...parts }).map(([name, up]) => {
      const dot = node("li", up ? "" : "down", up ? name : `${name} is down`);
      dot.title = up ? `${name} answers` : `${name} does not answer; work waits for it`;
      return dot;
    }));
  } catch {
    byId("parts").replaceChildren(node("li", "down", "gateway is down"));
  }
}

// the page's own controls ------------------------------------------------------------------------------------
for (const name of STATES) {
  const button = node("button", "", name ? name[0] + name.slice(1).toLowerCase() : "All");
  button.type = "button";
  button.setAttribute("aria-pressed", name === state);
  button.addEventListener("click", () => {
    state = name;
    limit = PAGE;
    for (const other of byId("filters").children) other.setAttribute("aria-pressed", other === button);
    poll();
  });
  byId("filters").append(button);
}
byId("older").addEventListener("click", () => { limit = Math.min(limit + 50, MOST); poll(); });
byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  if (!/^[\x21-\x7e]+$/.test(token)) return lockOut(true);
  sessionStorage.setItem(KEY, token);
  byId("token").value = "";
  healthAt = 0;
  poll();
});
// With a token a plain link would be refused: fetch the file and save it. (Shown here, it would have our origin.)
document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[href^='/artifacts/']");
  if (!link || !token) return;
  event.preventDefault();
  try {
    const answer = await ask(link.getAttribute("href"));
    if (!answer.ok) return say((await answer.json()).detail);
    const save = node("a");
    save.href = URL.createObjectURL(await answer.blob());
    save.download = link.href.endsWith(".html") ? "report.html" : `${link.href.split("/").pop().slice(0, 12)}.json`;
    save.click();
    setTimeout(() => URL.revokeObjectURL(save.href), 60000);
  } catch { say("The gateway does not answer: nothing was saved."); }
});
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const text = byId(button.dataset.copy);
    try { await navigator.clipboard.writeText(text.textContent); put(button, "Copied"); }
    catch { getSelection().selectAllChildren(text); put(button, "Selected"); }
    setTimeout(() => put(button, "Copy"), 2000);
  });
}
function commands() {
  const header = token ? " -H \"Authorization: Bearer $TICKLOOM_API_TOKEN\"" : "";
  put(byId("command-curl"), `curl -X POST ${location.origin}/submit_download${header} -H 'Content-Type: application/json' -d '{"symbols": ["BTCUSDT", "ETHUSDT"], "start_date": "2022-01", "end_date": "2022-03"}'`);
}
function theme(name) {
  if (name) document.documentElement.dataset.theme = name;
  const dark = name ? name === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  put(byId("theme"), dark ? "Light" : "Dark");
  return dark;
}
let look = localStorage.getItem(LOOK) || "";
theme(look);
byId("theme").addEventListener("click", () => {
  look = theme(look) ? "light" : "dark";
  localStorage.setItem(LOOK, look);
  theme(look);
});
// The dashboards listen on the gateway's machine: under the name by which this page reached it.
for (const id of ["flower", "ray"]) {
  const link = byId(id);
  if (link) link.href = `http://${location.hostname}:${document.body.dataset[id]}`;
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
poll();
