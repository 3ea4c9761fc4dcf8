"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const { strings, targets, modules, details, verdicts } = data;
const GLYPHS = { held: "✓", violated: "✗", absent: "○", skipped: "–", broken: "!", killed: "†", none: "·" };
// The last "verdict" is that there is none.
const WORDS = [...verdicts, "not run"];
const CLASSES = [...verdicts, "none"];
const NONE = verdicts.length;
const HELD = verdicts.indexOf("held"), SKIPPED = verdicts.indexOf("skipped");
const answers = (v) => v !== SKIPPED && v !== NONE;
const bad = (v) => v !== HELD && answers(v);

const cases = data.cases.map(([module, short, claim, sources, digits, told]) => {
  const pages = [];
  for (let i = 0; i < sources.length; i += 2) pages.push([strings[sources[i]], strings[sources[i + 1]]]);
  const detail = new Map();
  for (let i = 0; i < told.length; i += 2) detail.set(told[i], told[i + 1]);
  const path = modules[module] ? modules[module] + "::" + short : short;
  return {
    module, short, path, pages, detail, claim: strings[claim],
    mechanism: path.split("::")[0],
    cells: Array.from(digits, (digit) => (digit === "." ? NONE : Number(digit))),
  };
});
const mechanisms = [...new Set(cases.map((it) => it.mechanism))];
const byPath = new Map(cases.map((it) => [it.path, it]));

const $ = (id) => document.getElementById(id);
/** An element; attributes that are functions are listeners. */
function el(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}
const glyph = (v) => el("span", { class: "g", "aria-hidden": "true" }, GLYPHS[CLASSES[v]] || "?");
const number = (value) => value.toLocaleString("en-GB");
const plural = (count, word) => number(count) + " " + word + (count === 1 ? "" : "s");
/** Text that may break behind its hyphens. */
const breakable = (text) => text.split(/(?<=[-_])/).flatMap((part, i) => (i ? [el("wbr"), part] : [part]));

// What is shown; all of it stands in the fragment.
const VIEWS = [["all", "All"], ["differences", "Differences"], ["changes", "Changes"], ["unexplained", "Unexplained"]];
const HINTS = {
  all: "Every case",
  differences: "Cases whose verdicts differ between the targets that are shown; skipped is no verdict here",
  changes: "Cases whose verdict is another than at the next target to the left that gave one",
  unexplained: "Cases that did not hold on a target though no expectation says why",
};
const state = { q: "", m: "", v: new Set(), view: "all", hide: new Set(), at: "", on: "" };
let columns = [];
let rows = [];
let tops = [0];
let active = 0;
let turned = new Set();
let shownCases = 0;

function readFragment() {
  const told = new URLSearchParams(location.hash.slice(1));
  state.q = told.get("q") || "";
  state.m = mechanisms.includes(told.get("m")) ? told.get("m") : "";
  state.v = new Set((told.get("v") || "").split(",").map((word) => WORDS.indexOf(word)).filter((v) => v >= 0));
  state.view = VIEWS.some(([view]) => view === told.get("view")) ? told.get("view") : "all";
  state.hide = new Set((told.get("hide") || "").split(",").filter(Boolean));
  state.at = told.get("case") || (told.get("target") ? "@" + told.get("target") : "");
  state.on = told.get("on") || "";
}
function fragment() {
  const told = [];
  const add = (key, value) => value && told.push(key + "=" + encodeURIComponent(value).replace(/%3A/g, ":").replace(/%2C/g, ","));
  add("view", state.view === "all" ? "" : state.view);
  add("m", state.m);
  add("v", [...state.v].sort().map((v) => WORDS[v]).join(","));
  add("q", state.q);
  add("hide", [...state.hide].join(","));
  if (state.at.startsWith("@")) add("target", state.at.slice(1));
  else add("case", state.at);
  add("on", state.on);
  return "#" + told.join("&");
}
/** Opening something is a step that Back undoes, filtering is none. */
function writeFragment(step) {
  const next = fragment();
  if (next === (location.hash || "#")) return;
  if (step) history.pushState(null, "", next);
  else history.replaceState(null, "", next);
}

const haystack = (it) => (it.text ||= [
  it.path, it.claim,
  ...it.pages.map(([page, section]) => page + " " + pageName(page) + " " + section),
  ...[...it.detail.values()].flatMap((index) => {
    const pairs = details[index];
    return pairs.filter((_, i) => i % 2 && strings[pairs[i - 1]] !== "output").map((s) => strings[s]);
  }),
].join("\n").toLowerCase());

/** What the next column to the left that gave a verdict said; NONE if none did. */
function before(it, place) {
  for (let i = place - 1; i >= 0; i--) if (answers(it.cells[columns[i]])) return it.cells[columns[i]];
  return NONE;
}
const changedAt = (it, place) => {
  const verdict = it.cells[columns[place]];
  const left = before(it, place);
  return answers(verdict) && left !== NONE && left !== verdict;
};
/** Whether an expectation says why it came out like this. */
function explained(it, column) {
  const pairs = details[it.detail.get(column)] || [];
  return pairs.some((label, i) => i % 2 === 0 && strings[label] === "expected"
    && strings[pairs[i + 1]] === WORDS[it.cells[column]]);
}
const inView = {
  all: () => true,
  differences: (it) => new Set(columns.map((column) => it.cells[column]).filter(answers)).size > 1,
  changes: (it) => columns.some((_, place) => changedAt(it, place)),
  unexplained: (it) => columns.some((column) => bad(it.cells[column]) && !explained(it, column)),
};
const narrowed = () => state.q || state.v.size || state.view !== "all";
const isOpen = (key) => Boolean(narrowed()) !== turned.has(key);

/** Makes the rows that are open, with their counts. */
function compute() {
  columns = targets.map((_, column) => column).filter((column) => !state.hide.has(targets[column].name));
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = cases.filter((it) =>
    (!state.m || it.mechanism === state.m) &&
    (!state.v.size || columns.some((column) => state.v.has(it.cells[column]))) &&
    inView[state.view](it) &&
    words.every((word) => haystack(it).includes(word)));
  shownCases = chosen.length;
  const counts = new Map();
  const count = (key, it) => {
    let all = counts.get(key);
    if (!all) counts.set(key, (all = { cases: 0, columns: columns.map(() => new Array(NONE + 1).fill(0)) }));
    all.cases++;
    columns.forEach((column, place) => all.columns[place][it.cells[column]]++);
  };
  for (const it of chosen) {
    count("", it);
    count(it.mechanism, it);
    count(modules[it.module], it);
  }
  rows = [];
  const several = new Set(chosen.map((it) => it.mechanism)).size > 1;
  if (several) rows.push({ level: 0, key: "", name: "All mechanisms", ...counts.get("") });
  let mechanism = null, module = null;
  for (const it of chosen) {
    if (it.mechanism !== mechanism) {
      mechanism = it.mechanism;
      module = null;
      rows.push({ level: 1, key: mechanism, name: mechanism, open: isOpen(mechanism), ...counts.get(mechanism) });
    }
    if (!isOpen(mechanism)) continue;
    const path = modules[it.module];
    if (path !== mechanism && path !== module) {
      module = path;
      rows.push({ level: 2, key: path, name: path.slice(mechanism.length + 2), open: isOpen(path), ...counts.get(path) });
    }
    if (path === mechanism || isOpen(path)) rows.push({ level: 3, key: it.path, it });
  }
  const small = matchMedia("(max-width: 700px)").matches;
  const heights = small ? [50, 54, 50, 84] : [52, 56, 46, 48];
  tops = [0];
  for (const row of rows) tops.push(tops.at(-1) + heights[row.level]);
  active = Math.min(active, Math.max(rows.length - 1, 0));
}

const grid = $("grid"), scroll = $("scroll");
const [body, head, group] = [grid.tBodies[0], grid.tHead, grid.querySelector("colgroup")];

function header() {
  grid.style.setProperty("--n", columns.length);
  grid.dataset.room = columns.length <= 5 ? "much" : columns.length <= 9 ? "some" : "little";
  grid.setAttribute("aria-colcount", columns.length + 1);
  group.replaceChildren(el("col"), ...columns.map(() => el("col")));
  head.replaceChildren(el("tr", {}, el("th", { scope: "col" }, "Mechanism"), ...columns.map((column) => {
    const target = targets[column];
    return el("th", { scope: "col" }, el("button", { type: "button", title: target.place, "data-target": target.name },
      ...breakable(target.name),
      target.complete ? null : el("small", {}, "! incomplete")));
  })));
}

// What there is no room for is told by the bar, and in words.
const URGENT = ["killed", "violated", "broken", "absent", "skipped"];
const urgency = (v) => (URGENT.indexOf(CLASSES[v]) + 1) || 9;
/** Counts as glyphs, a bar and a tint; and in words for who cannot see them. */
function sum(td, row, place) {
  const counts = row.columns[place];
  const told = counts.map((count, v) => [count, v]).filter(([count]) => count > 0);
  const words = told.map(([count, v]) => count + " " + WORDS[v]).join(", ");
  const others = told.filter(([, v]) => v !== HELD).sort(([, a], [, b]) => urgency(a) - urgency(b));
  td.className = "sum";
  td.title = targets[columns[place]].name + ": " + words;
  td.append(
    el("span", { class: "hide" }, words),
    el("b", { "aria-hidden": "true" }, number(counts[HELD])),
    others.length && row.level && row.cases < 1000 ? el("i", { "aria-hidden": "true" }, "\u2009/\u2009" + number(row.cases)) : "",
    others.length
      ? el("small", { "aria-hidden": "true" }, ...others.map(([count, v]) => el("span", { class: CLASSES[v] }, GLYPHS[CLASSES[v]] + "\u2009" + count)))
      : el("small", { "aria-hidden": "true", class: "held" }, GLYPHS.held + " all held"));
  let at = 0;
  const stops = told.map(([count, v]) => {
    const from = at;
    at += (100 * count) / row.cases;
    return "var(--" + CLASSES[v] + ") " + from + "% " + at + "%";
  });
  const wrong = counts.reduce((total, count, v) => total + (bad(v) ? count : 0), 0);
  const tint = wrong ? 3 + (22 * wrong) / row.cases : 0;
  const shade = "color-mix(in oklab, var(--heat) " + tint.toFixed(1) + "%, transparent)";
  td.style.backgroundImage = "linear-gradient(90deg, " + stops.join(", ") + "), linear-gradient(" + shade + ", " + shade + ")";
  td.style.backgroundSize = "calc(100% - 1.2rem) 3px, 100% 100%";
}

function cell(td, it, place) {
  const verdict = it.cells[columns[place]];
  const changed = state.view === "changes" && changedAt(it, place);
  td.className = "cell " + CLASSES[verdict] + (changed ? " changed" : "");
  if (it.path === state.at && targets[columns[place]].name === state.on) td.classList.add("chosen");
  td.append(glyph(verdict), " " + WORDS[verdict]);
  if (changed) td.append(el("small", {}, "was " + WORDS[before(it, place)]));
}

function line(row, index) {
  const tr = el("tr", {
    class: "l" + row.level, "data-row": index, tabindex: index === active ? "0" : "-1",
    "aria-level": row.level || 1, "aria-rowindex": index + 2,
    "aria-expanded": row.open === undefined ? null : String(row.open),
    "aria-selected": row.it && row.it.path === state.at ? "true" : null,
  });
  tr.style.height = tops[index + 1] - tops[index] + "px";
  const first = row.it
    ? el("div", { class: "head", title: row.it.claim },
        el("span", { class: "claim" }, row.it.claim || row.it.short), el("span", { class: "path" }, row.it.short))
    : el("div", { class: "head" },
        row.level ? el("span", { class: "twist", "aria-hidden": "true" }, "▶") : null,
        el("span", {}, row.name), el("span", { class: "count" }, plural(row.cases, "case")));
  tr.append(el("th", { scope: "row" }, first));
  columns.forEach((_, place) => {
    const td = el("td", { "data-place": place });
    if (row.it) cell(td, row.it, place);
    else sum(td, row, place);
    tr.append(td);
  });
  return tr;
}

const indexAt = (top) => {
  let low = 0, high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (tops[middle + 1] <= top) low = middle + 1;
    else high = middle;
  }
  return low;
};
let painted = [-1, -1];
/** Makes elements of the rows that can be seen, and of a few around them. */
function paint(anew) {
  const from = Math.max(0, indexAt(scroll.scrollTop) - 6);
  const to = Math.min(rows.length, indexAt(scroll.scrollTop + scroll.clientHeight) + 7);
  if (!anew && from === painted[0] && to === painted[1]) return;
  painted = [from, to];
  const focused = document.activeElement && document.activeElement.closest("tbody tr");
  const pad = (height) => {
    const tr = el("tr", { class: "pad", "aria-hidden": "true" }, el("td", { colspan: columns.length + 1 }));
    tr.style.height = height + "px";
    return tr;
  };
  const made = rows.slice(from, to).map((row, i) => line(row, from + i));
  body.replaceChildren(pad(tops[from]), ...made, pad(tops.at(-1) - tops[to]));
  if (focused) {
    const again = body.querySelector('tr[data-row="' + active + '"]');
    if (again) again.focus({ preventScroll: true });
    else scroll.focus({ preventScroll: true });
  }
}

function empty() {
  const box = $("empty");
  box.hidden = rows.length > 0;
  grid.hidden = rows.length === 0;
  if (rows.length) return;
  const compares = state.view === "differences" || state.view === "changes";
  const few = columns.length < 2 && compares;
  const plain = !state.q && !state.m && !state.v.size;
  const [title, why] = few
    ? ["Nothing to compare", "This view needs at least two targets that are shown."]
    : plain && state.view === "unexplained"
      ? ["All is explained", "Of every case that did not hold on a target that is shown, an expectation says why."]
    : plain && compares
      ? ["They agree", "Every case that was answered has the same verdict on all targets that are shown."]
      : cases.length ? ["No case matches", "Filters narrow this view to nothing."] : ["No cases", "The streams have no records of cases."];
  box.replaceChildren(el("h2", {}, title), el("p", {}, why),
    el("button", { type: "button", class: "quiet", click: clear }, "Show everything"));
}
function clear() {
  Object.assign(state, { q: "", m: "", v: new Set(), view: "all", hide: new Set() });
  turned = new Set();
  writeFragment();
  tools();
  show();
  $("q").focus();
}

/** Everything but the panel, from the state. */
function show() {
  compute();
  header();
  grid.setAttribute("aria-rowcount", rows.length + 1);
  empty();
  paint(true);
  $("status").textContent = (shownCases === cases.length ? plural(cases.length, "case") : number(shownCases) + " of " + plural(cases.length, "case"))
    + ", " + (columns.length === targets.length ? plural(targets.length, "target") : columns.length + " of " + plural(targets.length, "target"));
}

/** The controls, from the state. */
function tools() {
  if ($("q").value !== state.q) $("q").value = state.q;
  $("mechanism").value = state.m;
  for (const button of $("views").children) button.setAttribute("aria-pressed", String(button.dataset.view === state.view));
  for (const button of $("chips").children) button.setAttribute("aria-pressed", String(state.v.has(Number(button.dataset.v))));
  for (const box of $("columns").querySelectorAll("input")) box.checked = !state.hide.has(box.value);
}
/** After a choice: what was turned open or shut belongs to the view before. */
function change() {
  turned = new Set();
  active = 0;
  scroll.scrollTop = 0;
  writeFragment();
  tools();
  show();
}

function makeTools() {
  const total = new Array(NONE + 1).fill(0);
  for (const it of cases) for (const verdict of it.cells) total[verdict]++;
  $("mechanism").append(el("option", { value: "" }, "All mechanisms"), ...mechanisms.map((name) => el("option", { value: name }, name)));
  $("mechanism").addEventListener("change", (event) => { state.m = event.target.value; change(); turnOne(); });
  $("views").append(...VIEWS.map(([view, name]) => el("button", {
    type: "button", "data-view": view, title: HINTS[view], click: () => { state.view = view; change(); },
  }, name)));
  $("chips").append(...WORDS.map((word, v) => total[v] === 0 ? null : el("button", {
    type: "button", "data-v": v, title: "Cases that are " + word + " on a target that is shown",
    click: () => { state.v.has(v) ? state.v.delete(v) : state.v.add(v); change(); },
  }, el("span", { class: CLASSES[v] }, glyph(v)), " " + word)).filter(Boolean));
  const one = (target) => el("label", {}, el("input", {
    type: "checkbox", value: target.name,
    change: (event) => { event.target.checked ? state.hide.delete(target.name) : state.hide.add(target.name); change(); },
  }), target.name);
  $("columns").querySelector(".pop").append(...targets.map(one));
  let waiting = 0;
  $("q").addEventListener("input", (event) => {
    cancelAnimationFrame(waiting);
    state.q = event.target.value.trim();
    waiting = requestAnimationFrame(change);
  });
}
/** A single mechanism is shown open. */
function turnOne() {
  if (state.m && !narrowed()) turned.add(state.m);
  show();
}

const SECTIONS = /^[A-Z][A-Z ]+$/;
function pageName(page) {
  const dot = page.lastIndexOf(".");
  return dot < 0 ? page : page.slice(0, dot) + "(" + page.slice(dot + 1) + ")";
}
function manual([page, section]) {
  const number = page.slice(page.lastIndexOf(".") + 1)[0];
  const anchor = SECTIONS.test(section) ? "#" + section.replaceAll(" ", "_") : "";
  const link = "https://man7.org/linux/man-pages/man" + number + "/" + page + ".html" + anchor;
  return el("span", {}, el("a", { href: link, rel: "noreferrer" }, pageName(page)), ", " + section);
}
function command(text) {
  const button = el("button", { type: "button", "aria-label": "Copy " + text, click: () => {
    const done = (word) => { button.textContent = word; setTimeout(() => { button.textContent = "Copy"; }, 1500); };
    navigator.clipboard.writeText(text).then(() => done("Copied"), () => done("Not allowed"));
  } }, "Copy");
  return el("div", { class: "copy" }, el("code", {}, text), button);
}
/** An address, or a place in the manual pages, as a link. */
function linked(text) {
  if (/^https?:\/\//.test(text)) return el("a", { href: text, rel: "noreferrer" }, text);
  const place = text.match(/^([\w.-]+)\((\d\w*)\), ([^;]+)$/);
  return place ? manual([place[1] + "." + place[2], place[3]]) : el("span", {}, text);
}

/** What one detail says, pair by pair. */
function facts(index) {
  const dl = el("dl");
  const pairs = index === undefined ? [] : details[index];
  for (let i = 0; i < pairs.length; i += 2) {
    const [label, text] = [strings[pairs[i]], strings[pairs[i + 1]]];
    const last = dl.lastElementChild;
    if (last && last.previousElementSibling.textContent === label) {
      last.firstChild.append("\n" + text);
      continue;
    }
    const told = label === "output" || label === "kernel" ? el("pre", { tabindex: "0", "aria-label": label }, text)
      : ["call", "wanted", "got", "at"].includes(label) ? el("code", {}, text)
      : linked(text);
    dl.append(el("dt", {}, label), el("dd", {}, told));
  }
  return dl;
}

function caseParts(it) {
  const groups = new Map();
  it.cells.forEach((verdict, column) => {
    const key = verdict + "/" + it.detail.get(column);
    if (!groups.has(key)) groups.set(key, { verdict, detail: it.detail.get(column), columns: [] });
    groups.get(key).columns.push(column);
  });
  const asked = ({ verdict, columns: on }) => bad(verdict) || on.some((column) => targets[column].name === state.on);
  const weight = (v) => (bad(v) ? 0 : v === HELD ? 1 : v === SKIPPED ? 2 : 3);
  const results = [...groups.values()].sort((a, b) => weight(a.verdict) - weight(b.verdict) || a.columns[0] - b.columns[0]);
  return [
    el("p", { class: "crumbs" }, ...it.path.split(/(?<=::)/).flatMap((part) => [part, el("wbr")])),
    el("h2", { id: "panel-title", tabindex: "-1" }, it.claim || it.path),
    el("ul", { class: "sources", "aria-label": "Documented in" }, ...it.pages.map((page) => el("li", {}, manual(page)))),
    el("h3", {}, "What the targets said"),
    ...results.map(({ verdict, detail, columns: on }) => {
      const names = on.map((column) => targets[column].name);
      const box = el("section", { class: "result" + (names.includes(state.on) ? " mark" : ""), "data-verdict": WORDS[verdict] },
        el("header", {}, el("b", { class: CLASSES[verdict] }, glyph(verdict), " ", WORDS[verdict]),
          el("span", { class: "names" }, ...breakable(names.join(", ")))));
      const told = facts(detail);
      if (asked({ verdict, columns: on })) {
        const chosen = names.includes(state.on) ? state.on : names[0];
        told.append(el("dt", {}, "reproduce"), el("dd", {}, command("ipcspec run " + it.path), command("ipcspec-lab run " + chosen + " -- " + it.path)));
      }
      if (told.children.length) box.append(told);
      return box;
    }),
    ...(results.some(asked) ? [] : [el("h3", {}, "To ask a target"), command("ipcspec run " + it.path)]),
  ];
}

function targetParts(column) {
  const target = targets[column];
  const counts = new Array(NONE + 1).fill(0);
  for (const it of cases) counts[it.cells[column]]++;
  const row = (word, ...told) => [el("dt", {}, word), el("dd", {}, ...told)];
  const list = (heading, texts) => texts.length ? [el("h3", {}, heading), el("ul", {}, ...texts.map((text) => el("li", {}, text)))] : [];
  return [
    el("p", { class: "crumbs" }, "target"),
    el("h2", { id: "panel-title", tabindex: "-1" }, target.name),
    target.complete ? null : el("p", { class: "warn" }, "! This run is incomplete: it has no end record, and " + plural(target.not_run, "planned case") + " without a verdict."),
    el("dl", { class: "facts" },
      ...row("kernel", target.place), ...(target.version ? row("version", target.version) : []),
      ...(target.distribution ? row("userland", target.distribution) : []),
      ...counts.flatMap((count, v) => count ? row(WORDS[v], el("span", { class: CLASSES[v] }, glyph(v)), " " + number(count)) : []),
      ...row("unexpected", number(target.unexpected))),
    el("h3", {}, "To ask again"),
    command("ipcspec-lab run " + target.name),
    ...list("Expectations that no longer apply", target.stale),
    ...list("Better isolation was refused", target.refused),
    el("h3", {}, "Limits"),
    el("dl", { class: "facts" }, ...Object.entries(target.sysctls).flatMap(([name, value]) => row(name, el("code", {}, value)))),
  ];
}

/** The panel, from the state. Gives it the focus when asked to. */
function panel(focus) {
  const box = $("panel");
  const column = targets.findIndex((target) => "@" + target.name === state.at);
  const it = byPath.get(state.at);
  const had = !box.hidden;
  box.hidden = !it && column < 0;
  $("main").inert = !box.hidden && matchMedia("(max-width: 700px)").matches;
  if (box.hidden) { box.replaceChildren(); return had; }
  const parts = it ? caseParts(it) : targetParts(column);
  box.replaceChildren(el("button", { type: "button", class: "close", "aria-label": "Close details", click: () => close() }, "×"),
    ...parts.filter(Boolean));
  box.scrollTop = 0;
  const mark = box.querySelector(".mark");
  if (mark) mark.scrollIntoView({ block: "nearest" });
  if (focus) $("panel-title").focus();
  return had;
}
function open(at, on) {
  Object.assign(state, { at, on: on || "" });
  writeFragment(true);
  panel(true);
  paint(true);
  // The panel takes room from the matrix.
  const place = columns.findIndex((column) => targets[column].name === state.on);
  const cell = head.rows[0].cells[place + 1];
  if (place < 0) return;
  const first = head.rows[0].cells[0].offsetWidth;
  const hidden = cell.offsetLeft + cell.offsetWidth + 1 - scroll.clientWidth;
  scroll.scrollLeft = Math.min(Math.max(scroll.scrollLeft, hidden), cell.offsetLeft - first);
}
function close() {
  const at = state.at;
  Object.assign(state, { at: "", on: "" });
  writeFragment(true);
  panel();
  const index = rows.findIndex((row) => row.it && row.it.path === at);
  paint(true);
  if (at.startsWith("@")) [...head.querySelectorAll("button")].find((button) => "@" + button.dataset.target === at)?.focus();
  else move(index >= 0 ? index : active);
}

/** Opens what a case stands under, and brings it into sight. */
function reveal() {
  const it = byPath.get(state.at);
  if (!it) return;
  const path = modules[it.module];
  for (const key of new Set([it.mechanism, path])) if (!isOpen(key)) turned.has(key) ? turned.delete(key) : turned.add(key);
  show();
  const index = rows.findIndex((row) => row.it === it);
  if (index < 0) return;
  active = index;
  scroll.scrollTop = Math.max(0, tops[index] - scroll.clientHeight / 3);
  paint(true);
}

/** Makes a row the active one, in sight and with the focus. */
function move(index) {
  if (!rows.length) return;
  active = Math.max(0, Math.min(rows.length - 1, index));
  const above = head.offsetHeight;
  if (tops[active] < scroll.scrollTop) scroll.scrollTop = tops[active];
  if (tops[active + 1] > scroll.scrollTop + scroll.clientHeight - above) scroll.scrollTop = tops[active + 1] - scroll.clientHeight + above;
  paint(true);
  body.querySelector('tr[data-row="' + active + '"]')?.focus({ preventScroll: true });
}
function turn(index) {
  const { key } = rows[index];
  turned.has(key) ? turned.delete(key) : turned.add(key);
  active = index;
  show();
  move(index);
}
function act(index, place) {
  const row = rows[index];
  active = index;
  if (row.it) open(row.it.path, place === undefined ? "" : targets[columns[place]].name);
  else if (row.level) turn(index);
}

body.addEventListener("click", (event) => {
  const tr = event.target.closest("tr[data-row]");
  const td = event.target.closest("td[data-place]");
  if (tr) act(Number(tr.dataset.row), td ? Number(td.dataset.place) : undefined);
});
head.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-target]");
  if (button) open("@" + button.dataset.target);
});
body.addEventListener("keydown", (event) => {
  const tr = event.target.closest("tr[data-row]");
  if (!tr || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.shiftKey && event.key.startsWith("Arrow")) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key] || 0;
    scroll.scrollBy({ left: step * 2 * head.rows[0].cells[1].offsetWidth });
    return;
  }
  const index = Number(tr.dataset.row);
  const row = rows[index];
  const page = Math.max(1, Math.floor(scroll.clientHeight / 56) - 1);
  const parent = () => { let i = index - 1; while (i > 0 && rows[i].level >= row.level) i--; return Math.max(i, 0); };
  const keys = {
    ArrowDown: () => move(index + 1), ArrowUp: () => move(index - 1),
    PageDown: () => move(index + page), PageUp: () => move(index - page),
    Home: () => move(0), End: () => move(rows.length - 1),
    ArrowRight: () => (row.open === false ? turn(index) : move(index + 1)),
    ArrowLeft: () => (row.open ? turn(index) : move(parent())),
    Enter: () => act(index), " ": () => act(index),
  };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    if (matchMedia("(max-width: 700px)").matches && state.at) close();
    $("q").focus();
    $("q").select();
  } else if (event.key === "ArrowDown" && event.target === $("q")) {
    event.preventDefault();
    move(active);
  } else if (event.key === "Escape") {
    if ($("columns").open) { $("columns").open = false; $("columns").querySelector("summary").focus(); }
    else if (state.at) close();
    else if (state.q) { state.q = ""; change(); }
    else if (typing) event.target.blur();
    else return;
    event.preventDefault();
  }
});
document.addEventListener("click", (event) => {
  if (!event.target.closest("#columns")) $("columns").open = false;
});
let frame = 0;
scroll.addEventListener("scroll", () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(() => paint(false)); });
addEventListener("resize", () => { show(); $("main").inert = Boolean(state.at) && matchMedia("(max-width: 700px)").matches; });
addEventListener("popstate", () => { readFragment(); tools(); show(); panel(); });

const THEMES = ["auto", "light", "dark"];
const kept = { get: () => { try { return localStorage.getItem("theme"); } catch { return null; } },
  set: (theme) => { try { localStorage.setItem("theme", theme); } catch { /* a page from disk may not be allowed to */ } } };
function theme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  $("theme").textContent = "Theme: " + name;
  $("theme").dataset.name = name;
}
$("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf($("theme").dataset.name) + 1) % THEMES.length];
  theme(next);
  kept.set(next);
});

theme(THEMES.includes(kept.get()) ? kept.get() : "auto");
scroll.tabIndex = -1;
makeTools();
readFragment();
$("app").hidden = false;
$("headline").textContent = plural(cases.length, "documented behaviour") + ", " + plural(targets.length, "target");
tools();
show();
panel();
reveal();
})();
