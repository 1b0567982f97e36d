/* The sandbox's page. It shows what the API returns for the user's token, and nothing else.
   All text becomes text nodes, through `plain`; the CSP forbids innerHTML and inline styles. */

const API = "/api/v1";
const PAGE = 100; // runs or alerts: the most that the API returns at once
const MAX_CHARTS = 24;
const MAX_PINGS = 50;
const FOLDED = 60; // lines; a longer log shows the first and the last third of this
const RAPID = 1000; // milliseconds between two refreshes while pings arrive
const REFRESH = 30000; // milliseconds after which "2 minutes ago" is renewed
const SILENCE = 40000; // milliseconds without a sign of life; the server sends one every 15 s
const STATUSES = ["success", "failed", "missed", "hung", "overlapped", "running"];
const OPERATORS = { lt: "<", gt: ">", eq: "=", ne: "≠" };
const OF_EXEC = new Set(["exit_code", "duration_ms", "user_cpu_ms", "system_cpu_ms", "max_rss_kb",
  "output_bytes", "late_seconds"]);

const $ = (id) => document.getElementById(id);
const main = $("main");
const pings = []; // the newest first
let shown = 0, following = 0; // count the turns: only the latest may go on
let arriving = true; // whether the reader has just come to this view
let reason = ""; // why the reader has to sign in again
let stream = null; // aborts the event stream
let wake = () => {}; // ends the pause before the next attempt to connect
let timer = null, refreshed = 0;

// Building and updating the document

/** Return `text` with control characters and changes of direction made visible. */
const plain = (text) => String(text).replace(/\r\n/g, "\n")
  .replace(/[\0-\x08\x0b-\x1f]/g, (char) => String.fromCharCode(0x2400 + char.charCodeAt(0)))
  .replace(/[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value || value === "") element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child instanceof Node) element.append(child);
    else if (child) element.append(plain(child));
  }
  return element;
}

const h = (name, attributes = {}, ...children) =>
  build(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
const section = (id, title, ...content) =>
  h("section", { "aria-labelledby": id }, h("h2", { id }, title), content);
const table = (columns, rows) => h("table", {},
  h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, name)))),
  h("tbody", {}, rows));
const p = (...content) => h("p", {}, content);
const code = (text) => h("code", {}, text);
const minor = (...text) => h("span", { class: "minor" }, text);

/** Make `old` like `fresh`, keeping the nodes that stay: with them focus and unfolded parts. */
function update(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const key = (node) => node?.dataset?.key, wanted = [...fresh.childNodes];
  const keys = new Set(wanted.map(key));
  let there = old.firstChild;
  const drop = () => {
    const gone = there;
    there = there.nextSibling;
    gone.remove();
  };
  for (const child of wanted) {
    while (key(there) && !keys.has(key(there))) drop();
    if (there?.nodeName === child.nodeName && key(there) === key(child)) {
      update(there, child);
      there = there.nextSibling;
    } else {
      old.insertBefore(child, there);
    }
  }
  while (there) drop();
}

// Words for values

const NUMBER = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });
const LONG = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const SHORT = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" });
const AGO = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

const number = (value) => NUMBER.format(value);
const many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const words = (name) => name.replaceAll("_", " ");

function time(at, text) {
  const long = at && LONG.format(new Date(at));
  return at && h("time", { datetime: at, title: long }, text ?? long);
}

function ago(at) {
  if (!at) return "never";
  const seconds = Math.max(0, (Date.now() - Date.parse(at)) / 1000);
  const [unit, size] = UNITS.find(([, length]) => seconds >= length) ?? UNITS.at(-1);
  return time(at, AGO.format(-Math.floor(seconds / size), unit));
}

function duration(ms) {
  if (ms === null) return "–";
  const s = Math.floor(ms / 1000);
  if (s < 60) return s < 1 ? `${ms} ms` : `${number(Math.round(ms / 100) / 10)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
}

const badge = (word) => [h("span", { class: `badge ${word}` }, words(word)), " "];
const statusOf = (run) => [badge(run.status), run.isDurationAnomaly && badge("slow")];
const ruleText = ({ field, operator, value }) =>
  `alert if ${field} ${OPERATORS[operator]} ${number(value)}`;
const matches = ({ operator, value }, is) =>
  ({ lt: is < value, gt: is > value, eq: is === value, ne: is !== value })[operator];
const monitorPath = (id) => `/monitors/${encodeURIComponent(id)}`;
const runPath = (id, run) => `${monitorPath(id)}/runs/${encodeURIComponent(run)}`;
const link = (path, ...text) => h("a", { href: `#${path}` }, text);

/** Return `path` with those of the parameters that have a value. */
function withQuery(path, parameters) {
  const given = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value));
  return given.size ? `${path}?${given}` : path;
}

// Pictures. Numbers become attributes, and colours classes. The dots are lines without a length:
// unlike circles they stay round when the picture is stretched.

/** Draw a bar for each run, the newest on the right, and failures taller than successes. */
function strip(runs) {
  const count = (status) => runs.filter((run) => run.status === status).length;
  const present = STATUSES.filter(count);
  const bars = (status) => runs.map((run, i) => (run.status === status
    ? `M${177 - i * 6},20V${{ success: 10, running: 14 }[status] ?? 1}` : "")).join("");
  const counts = present.map((status) => `${count(status)} ${status}`).join(", ");
  const label = `${many(runs.length, "run")}${counts && `: ${counts}`}`;
  const box = { class: "strip", viewBox: "0 0 180 20", role: "img", "aria-label": label };
  return svg("svg", box, svg("path", { class: "floor", d: "M0,20H180" }),
    present.map((status) => svg("path", { class: status, d: bars(status) })));
}

/** Draw numbers over time. points: [milliseconds, number, class]; rules: thresholds to show. */
function chart(name, points, format, rules = []) {
  const values = [...points.map(([, y]) => y), ...rules.map((rule) => rule.value)];
  const low = Math.min(...values), high = Math.max(...values);
  const first = points[0][0], last = points.at(-1)[0];
  const x = (at) => (last > first ? 10 + (at - first) / (last - first) * 580 : 300).toFixed(1);
  const y = (value) => (high > low ? 110 - (value - low) / (high - low) * 100 : 60).toFixed(1);
  const line = points.map(([at, value]) => `${x(at)},${y(value)}`);
  const dots = (kind) => line.map((at, i) => (points[i][2] === kind ? `M${at}h0` : "")).join("");
  const latest = format(points.at(-1)[1]);
  const range = `${format(low)} to ${format(high)}`;
  const box = { viewBox: "0 0 600 120", preserveAspectRatio: "none", role: "img",
    "aria-label": `${name} of ${many(points.length, "run")}: ${range}, latest ${latest}` };
  const moment = (at) => time(new Date(at).toISOString(), SHORT.format(at));
  return h("figure", { "data-key": name },
    h("figcaption", {}, h("strong", {}, name), ` ${latest} `,
      rules.map((rule) => h("span", { class: "limit" }, ruleText(rule), " "))),
    h("div", { class: "plot" }, h("span", {}, format(high)), svg("svg", box,
      rules.map((rule) => svg("path", { class: "threshold", d: `M0,${y(rule.value)}H600` })),
      svg("path", { class: "line", d: `M${line.join("L")}` }),
      [...new Set(points.map(([, , kind]) => kind))]
        .map((kind) => svg("path", { class: `dots ${kind}`, d: dots(kind) }))),
    h("span", {}, format(low))),
    h("div", { class: "ends" }, moment(first), moment(last)));
}

/** Return the charts of a page of runs: durations, and each number of the metadata. */
function charts(runs, rules) {
  const old = runs.toReversed(), at = (run) => Date.parse(run.finishedAt ?? run.startedAt);
  const timed = old.filter((run) => run.durationMs !== null);
  const rulesOf = (field) => rules.filter((rule) => rule.field === field);
  const fields = [...new Set(old.flatMap((run) => Object.keys(run.meta ?? {})))];
  const minorFields = fields.filter((field) => OF_EXEC.has(field) && !rulesOf(field).length);
  const own = fields.filter((field) => !minorFields.includes(field))
    .sort((a, b) => (rulesOf(b).length > 0) - (rulesOf(a).length > 0));
  const chartOf = (field) => {
    const known = old.filter((run) => Object.hasOwn(run.meta ?? {}, field));
    return chart(field, known.map((run) => {
      const value = run.meta[field], fires = (rule) => matches(rule, value);
      const fired = run.status === "success" && rulesOf(field).some(fires);
      return [at(run), value, fired ? "silent_failure" : run.status];
    }), number, rulesOf(field));
  };
  return [h("div", { class: "charts" }, timed.length > 0
    && chart("Duration", timed.map((run) => [at(run), run.durationMs, run.status]), duration),
  own.slice(0, MAX_CHARTS).map(chartOf)),
  own.length > MAX_CHARTS && p(`${own.length - MAX_CHARTS} more numbers are not drawn.`),
  minorFields.length > 0 && h("details", {}, h("summary", {}, "Numbers that crontify exec adds"),
    h("div", { class: "charts" }, minorFields.map(chartOf)))];
}

// Logs

const ESCAPE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)/g;
const STYLES = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 9: "strike" };
const PALETTE = [[0, 0, 0], [205, 0, 0], [0, 205, 0], [205, 205, 0], [0, 0, 238], [205, 0, 205],
  [0, 205, 205], [229, 229, 229], [127, 127, 127], [255, 0, 0], [0, 255, 0], [255, 255, 0],
  [92, 92, 255], [255, 0, 255], [0, 255, 255], [255, 255, 255]]; // xterm's

/** Return the index of the nearest of the 16 colours for which there are classes. */
function nearest(rgb) {
  const distance = (colour) => colour.reduce((sum, part, i) => sum + (part - rgb[i]) ** 2, 0);
  return PALETTE.indexOf(PALETTE.reduce((a, b) => (distance(b) < distance(a) ? b : a)));
}

/** Return the colour that `38;5;N` or `38;2;R;G;B` selects, and remove these numbers. */
function extended(codes) {
  if (codes.shift() === 2) return nearest(codes.splice(0, 3));
  const n = codes.shift() ?? 0;
  if (n < 16) return n;
  if (n > 231) return nearest(Array(3).fill(8 + (n - 232) * 10));
  const level = (unit) => [0, 95, 135, 175, 215, 255][Math.floor((n - 16) / unit) % 6];
  return nearest([36, 6, 1].map(level));
}

/** Apply the numbers of an SGR sequence (ECMA-48, 8.3.117) to `style`. */
function applySgr(style, parameters) {
  const codes = parameters.split(/[;:]/).map(Number);
  while (codes.length) {
    const code = codes.shift(), ten = Math.floor(code / 10), place = ten % 2 ? "f" : "b";
    if (code === 0) for (const name in style) delete style[name];
    else if (STYLES[code]) style[STYLES[code]] = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (STYLES[code - 20]) style[STYLES[code - 20]] = false;
    else if (ten < 3 || (ten > 4 && ten < 9) || ten > 10) continue;
    else if (code % 10 < 8) style[place] = code % 10 + (ten > 8 ? 8 : 0);
    else if (ten < 5) style[place] = code % 10 === 8 ? extended(codes) : null;
  }
}

/** Return a log as lines of nodes: colours become classes, other escape sequences are dropped. */
function logLines(text) {
  const lines = [[]], style = {};
  const add = (part) => part.split("\n").forEach((piece, i) => {
    if (i) lines.push([]);
    const set = Object.entries(style).filter(([, value]) => value || value === 0);
    const names = set.map(([name, value]) => (value === true ? name : name + value)).join(" ");
    if (piece) lines.at(-1).push(names ? h("span", { class: names }, piece) : piece);
  });
  let end = 0;
  for (const found of text.matchAll(ESCAPE)) {
    add(text.slice(end, found.index));
    if (found[2] === "m") applySgr(style, found[1]);
    end = found.index + found[0].length;
  }
  add(text.slice(end));
  return lines;
}

function log(text) {
  const lines = logLines(text.replace(/\r\n/g, "\n").replace(/\n$/, "")), third = FOLDED / 3;
  const pre = (label, part) => h("pre", { tabindex: "0", role: "region", "aria-label": label },
    part.map((line, i) => [i && "\n", line]));
  if (lines.length <= FOLDED) return pre("Log", lines);
  return [pre("Beginning of the log", lines.slice(0, third)),
    h("details", {}, h("summary", {}, `${lines.length - 2 * third} more lines`),
      pre("Middle of the log", lines.slice(third, -third))),
    pre("End of the log", lines.slice(-third))];
}

// The API

/** Send a GET request with the token. Throws an Error with a status, or without a connection. */
async function call(path, options = {}) {
  const headers = { Authorization: `Bearer ${sessionStorage.getItem("token")}` };
  const answer = await fetch(API + path, { ...options, headers });
  if (answer.ok) return answer;
  const { message } = await answer.json().catch(() => ({}));
  throw failure(answer.status, message ?? `The server answered ${answer.status}.`);
}

const failure = (status, message) => Object.assign(new Error(message), { status });
const get = async (path) => (await call(path)).json();
const data = async (path) => (await get(path)).data;

// Views: each returns its title and its content

async function monitorsView() {
  const monitors = await data("/monitors");
  const failing = (monitor) => monitor.state === "failing";
  monitors.sort((a, b) => failing(b) - failing(a));
  return ["Monitors", h("div", { class: "overview" },
    h("div", {}, monitors.length
      ? p(many(monitors.length, "monitor"), `, ${monitors.filter(failing).length} failing`)
      : p("No monitors yet: add one with ", code("crontify sandbox monitor add NAME")),
    h("ul", { class: "monitors" }, monitors.map((monitor) => h("li", { "data-key": monitor.id },
      link(monitorPath(monitor.id), monitor.id), h("span", {}, badge(monitor.state)),
      strip(monitor.lastRuns), minor("Last ping: ", ago(monitor.lastPingAt)))))),
    section("pings", "Pings as they arrive", pings.length ? h("ol", {}, pings.map(pingItem))
      : p("None since this page was opened.")))];
}

function pingItem(event) {
  if (event.event === "lost") return h("li", {}, `${event.count} more`);
  const { timestamp, monitor, kind, runId, status, errorMessage, alerts } = event;
  return h("li", { "data-key": [timestamp, runId, kind] }, minor(time(timestamp)), " ",
    link(runPath(monitor, runId), monitor), " ", badge(status), errorMessage,
    alerts.filter((alert) => alert.message !== errorMessage)
      .map((alert) => h("div", {}, badge(alert.kind), alert.message)));
}

async function monitorView(id, query) {
  const path = monitorPath(id), cursor = query.get("cursor"), status = query.get("status");
  const [monitor, page, alerts, channels] = await Promise.all([data(path),
    get(withQuery(`${path}/runs`, { limit: PAGE, cursor, status })),
    data(`${path}/alerts?limit=5`), data(`${path}/channels`)]);
  const { schedule, timezone, rules } = monitor;
  const filters = ["", ...STATUSES].map((word) => h("a", {
    href: `#${withQuery(path, { status: word })}`,
    "aria-current": word === (status ?? "") && "true" }, word || "all"));
  return [id, [
    facts(["State", badge(monitor.state)], ["Last ping", ago(monitor.lastPingAt)],
      ["Schedule", schedule && `${schedule} (${timezone})`], ["Grace", duration(monitor.graceMs)],
      ["Tags", monitor.tags.join(", ")], ["Rules", rules.map(ruleText).join(", ")]),
    section("numbers", "Numbers", page.data.length ? charts(page.data, rules) : "No runs to draw."),
    section("runs", "Runs", h("nav", { "aria-label": "Status of the runs" }, filters),
      page.data.length
        ? table(["Run", "Status", "Duration"], page.data.map(runRow)) : p("None."),
      pages(path, "runs", { status }, cursor, page.nextCursor)),
    alertSection(alerts), channelSection(channels)]];
}

const runRow = (run) => h("tr", { "data-key": run.id },
  h("td", {}, link(runPath(run.monitorId, run.id), time(run.startedAt ?? run.finishedAt)),
    run.errorMessage && h("div", { class: "minor" }, run.errorMessage)),
  h("td", {}, statusOf(run)), h("td", {}, duration(run.durationMs)));

const pages = (path, what, parameters, cursor, next) => h("p", { class: "pages" },
  cursor && link(withQuery(path, parameters), `Newest ${what}`),
  next && link(withQuery(path, { ...parameters, cursor: next }), `Older ${what}`));

async function runView(id, runId) {
  const [run, { rules }] = await Promise.all([data(runPath(id, runId)), data(monitorPath(id))]);
  const fields = Object.entries(run.meta ?? {}).sort(([a], [b]) => OF_EXEC.has(a) - OF_EXEC.has(b));
  const ruleOf = (value) => (rule) =>
    h("div", { class: matches(rule, value) ? "limit" : "minor" }, ruleText(rule));
  const row = ([field, value]) => h("tr", {}, h("th", { scope: "row" }, field),
    h("td", {}, number(value)),
    h("td", {}, rules.filter((rule) => rule.field === field).map(ruleOf(value))));
  return [`Run of ${id}`, [
    p(link(monitorPath(id), `All runs of ${id}`)),
    facts(["Status", statusOf(run)], ["Message", run.errorMessage],
      ["Started", time(run.startedAt)], ["Ended", time(run.finishedAt)],
      ["Duration", duration(run.durationMs)], ["Run", runId]),
    section("log", "Log", run.log ? log(run.log) : "This run has no log."),
    fields.length > 0
      && section("meta", "Metadata", table(["Field", "Number", "Rules"], fields.map(row))),
    alertSection(run.alerts)]];
}

const facts = (...pairs) => h("dl", {}, pairs.filter(([, value]) => value)
  .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

async function alertsView(query) {
  const cursor = query.get("cursor");
  const page = await get(withQuery("/alerts", { limit: PAGE, cursor }));
  return ["Alerts", [page.data.length ? alertList(page.data, true) : p("No alerts."),
    pages("/alerts", "alerts", {}, cursor, page.nextCursor),
    channelSection(await data("/channels"))]];
}

const alertList = (alerts, named) => h("ol", {}, alerts.map((alert) =>
  h("li", { "data-key": alert.id }, badge(alert.kind),
    named && [link(monitorPath(alert.monitorId), alert.monitorId), ": "],
    link(runPath(alert.monitorId, alert.runId), alert.message), " ",
    minor(time(alert.createdAt)))));

const alertSection = (alerts) =>
  alerts.length > 0 && section("alerts", "Alerts", alertList(alerts));

const channelSection = (channels) => channels.length > 0 && section("channels", "Channels",
  channels.map((channel) => [h("h3", {}, `${channel.monitorId}: ${channel.kind} ${channel.target}`),
    channel.deliveries.length
      ? h("ol", {}, channel.deliveries.map(deliveryItem)) : p("Nothing sent.")]));

const deliveryItem = ({ status, kind, createdAt, attempts }) => h("li", {}, badge(status),
  kind ? `alert: ${words(kind)} ` : "test ", minor(time(createdAt)),
  h("ol", {}, attempts.map(({ at, error, durationMs }) =>
    h("li", {}, minor(time(at)), ` ${error ?? "accepted"} (${duration(durationMs)})`))));

// Navigation

async function view() {
  const [path, query] = location.hash.slice(1).split("?"), parameters = new URLSearchParams(query);
  const [place, id, runs = "runs", runId] = path.split("/").slice(1).map(decodeURIComponent);
  if (!place) return monitorsView();
  if (place === "alerts") return alertsView(parameters);
  if (place !== "monitors" || !id || runs !== "runs") throw failure(404, "There is no such page.");
  return runId ? runView(id, runId) : monitorView(id, parameters);
}

/** Show the view of the address; if a refresh fails, what is shown stays. */
async function show() {
  const turn = ++shown;
  let title, content;
  try {
    [title, content] = sessionStorage.getItem("token") ? await view() : signInView();
  } catch (error) {
    if (turn !== shown || (!arriving && !(error.status < 500))) return;
    if (error.status === 401) return signOut(error.message);
    title = "This cannot be shown";
    content = p(error.status ? error.message
      : `The sandbox does not answer: is it still running? (${error.message})`);
  }
  if (turn !== shown) return; // a newer view is being loaded
  document.title = `${title} – Crontify sandbox`;
  const heading = h("h1", { tabindex: "-1" }, title);
  const fresh = h("div", { "data-key": location.hash }, heading, content);
  update(main, h("main", { id: "main" }, fresh));
  for (const item of document.querySelectorAll("header nav a")) {
    item.setAttribute("aria-current", item.hash === location.hash ? "page" : "false");
  }
  if (arriving) focusHeading();
  arriving = false;
}

function focusHeading() {
  scrollTo(0, 0);
  main.querySelector("h1").focus({ preventScroll: true });
}

function refreshSoon() {
  timer ??= setTimeout(() => {
    timer = null;
    refreshed = Date.now();
    show();
  }, Math.max(0, refreshed + RAPID - Date.now()));
}

// Signing in

/** Begin, and take the token out of the address, so that it is not in the history. */
function enter() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (fragment.has("token")) sessionStorage.setItem("token", fragment.get("token"));
  if (fragment.has("token") || !location.hash) {
    history.replaceState(null, "", `#${fragment.get("view") ?? "/"}`);
  }
  $("sign-out").hidden = !sessionStorage.getItem("token");
  arriving = true;
  refreshed = Date.now(); // connecting to the stream is no reason to load the view twice at once
  show();
  follow();
}

const signInView = () => ["Sign in", [h("p", { role: "alert" }, reason),
  p("Open the link that ", code("crontify sandbox serve"), " prints, or paste what ",
    code("crontify sandbox token"), " prints:"),
  h("form", {}, h("label", {}, "Token ",
    h("input", { id: "token", autocomplete: "off", required: true })),
  h("button", {}, "Sign in"))]];

function signOut(why = "") {
  reason = why;
  sessionStorage.removeItem("token");
  enter();
}

// Pings as they arrive: server-sent events, read with fetch because EventSource sends no token

async function follow() {
  const turn = ++following, token = sessionStorage.getItem("token");
  const say = (words) => turn === following && ($("connection").textContent = words);
  stream?.abort();
  say("");
  pings.length = 0;
  for (let pause = 1; token && turn === following; pause = Math.min(pause * 2, 30)) {
    if (!document.hidden) { // all tabs share six connections to a server
      stream = new AbortController();
      try {
        const answer = await call("/events", { signal: stream.signal });
        say("Live");
        pause = 1;
        refreshSoon();
        await read(answer.body.pipeThrough(new TextDecoderStream()).getReader());
      } catch (error) {
        if (error.status === 401 && turn === following) return signOut(error.message);
      }
      say("Offline, trying again");
    }
    await new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, pause * 1000);
    });
  }
}

async function read(reader) {
  for (let text = "", done = false; !done;) {
    const alarm = setTimeout(() => stream.abort(), SILENCE);
    const chunk = await reader.read().finally(() => clearTimeout(alarm));
    const parts = (text + (chunk.value ?? "")).split("\n\n");
    text = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) receive(JSON.parse(part.slice(6)));
    done = chunk.done;
  }
}

function receive(event) {
  refreshSoon();
  if (event.event === "delivery") return;
  pings.unshift(event);
  pings.splice(MAX_PINGS);
  for (const { kind, message } of event.alerts ?? []) { // the rest is too much to be read aloud
    $("announcement").textContent = plain(`${event.monitor}: ${words(kind)}: ${message}`);
  }
}

addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) return enter();
  arriving = true;
  return show();
});
addEventListener("offline", () => stream?.abort());
addEventListener("online", () => wake());
document.addEventListener("visibilitychange", () => (document.hidden ? stream?.abort() : wake()));
$("sign-out").addEventListener("click", () => signOut());
$("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the fragment of the address names the view
  focusHeading();
});
main.addEventListener("submit", (event) => {
  event.preventDefault(); // a form would need an exception in the CSP
  sessionStorage.setItem("token", $("token").value.trim());
  enter();
});
setInterval(() => document.hidden || show(), REFRESH);
enter();
