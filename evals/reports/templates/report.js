"use strict";
// Everything written by others enters the page as text nodes: no function here makes markup from a string.
(() => {
  const index = JSON.parse(document.getElementById("index").textContent);
  const blocks = [...document.querySelectorAll("script[data-block]")];
  const SIGNS = { "+": "✓", "-": "✗", "?": "?", "!": "!" };
  const WORDS = { "+": "passed", "-": "failed", "?": "no score", "!": "no answer" };
  const TONES = { "+": "go", "-": "stop", "?": "wait", "!": "wait" };
  const STANDING_TONES = { regressed: "stop", fails: "stop", differs: "wait", flaky: "wait", unscored: "wait", improved: "go", passes: "go", unchanged: "flat" };
  const QUIET = new Set(["unchanged", "passes"]);
  const PAGE = 40;
  const EXCERPT = 400;
  const DIFF_CELLS = 4e6;
  const ALIKE = 0.3; // With less in common, word by word would be a puzzle: the two stand below each other.

  const $ = (id) => document.getElementById(id);
  const table = $("cases"), more = $("more"), shown = $("shown"), search = $("search");
  const number = (n) => n.toLocaleString("en-US");

  function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "class") node.className = value;
      else node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== "") node.append(child);
    return node;
  }

  // Data: a block holds some cases in full, and is parsed when one of them is first shown.
  const parsed = new Map();
  function full(n) {
    const place = cases[n].block;
    if (!parsed.has(place)) {
      const block = JSON.parse(blocks[place].textContent);
      blocks[place].textContent = "";
      parsed.set(place, block);
    }
    const block = parsed.get(place);
    return { text: (i) => (i === undefined || i === null ? "" : block.s[i]), case: block.c[n - index.starts[place]] };
  }
  const cases = index.cases.map(([id, about, tags, blocking, standing, marks, needs], n) => ({ n, id, about, tags, blocking, standing, marks, needs }));
  index.starts.forEach((start, block) => { for (let n = start; n < (index.starts[block + 1] ?? cases.length); n++) cases[n].block = block; });
  let haystacks = null;
  function haystack(one) {
    if (!haystacks) haystacks = new Array(cases.length);
    if (haystacks[one.n] === undefined) {
      const data = full(one.n), parts = [one.id, one.about, ...one.tags.map((t) => index.tags[t])];
      for (const [, value] of data.case.v) parts.push(data.text(value));
      for (const trials of data.case.r) for (const trial of trials) {
        for (const answer of trial.a || []) parts.push(data.text(answer));
        parts.push(data.text(trial.k), data.text(trial.r), data.text(trial.e));
        for (const [label, , , reason] of trial.t || []) parts.push(data.text(label), data.text(reason));
      }
      haystacks[one.n] = parts.join("\n").toLowerCase();
    }
    return haystacks[one.n];
  }

  // What is asked for stands in the address, so that a view can be sent to somebody.
  const state = { outcome: "", slice: "", arm: "", q: "", with: index.base === null ? "" : String(index.base) };
  const DEFAULTS = { ...state };
  function readAddress() {
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const name of Object.keys(state)) state[name] = asked.has(name) ? asked.get(name) : DEFAULTS[name];
    return asked.get("case");
  }
  function writeAddress() {
    const asked = new URLSearchParams();
    for (const name of Object.keys(state)) if (state[name] !== DEFAULTS[name]) asked.set(name, state[name]);
    history.replaceState(null, "", "#" + (asked.toString() || "answers"));
  }

  const has = (marks, mark) => marks.includes(mark);
  const TRIALS = {
    failed: (marks) => has(marks, "-"),
    passed: (marks) => marks !== "" && ![...marks].some((mark) => mark !== "+"),
    mixed: (marks) => has(marks, "+") && has(marks, "-"),
    unscored: (marks) => has(marks, "?") || has(marks, "!"),
    unanswered: (marks) => has(marks, "!"),
  };
  function matches(one, words) {
    const [kind, what] = state.outcome.split(":");
    if (kind === "news" && QUIET.has(one.standing)) return false;
    if (kind === "case" && one.standing !== what) return false;
    if (kind === "trial" && TRIALS[what]) {
      const marks = state.arm === "" ? one.marks : [one.marks[Number(state.arm)] || ""];
      if (!marks.some(TRIALS[what])) return false;
    }
    if (state.slice !== "" && !one.tags.some((t) => index.tags[t] === state.slice)) return false;
    return words.every((word) => haystack(one).includes(word));
  }

  // Differences between two answers: longest common subsequence of words, after equal ends are taken off.
  const TOKEN = /\s+|[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]|[\p{L}\p{M}\p{N}_]+|[^\s]/gu;
  function difference(before, after) {
    let a = before.match(TOKEN) || [], b = after.match(TOKEN) || [];
    let start = 0, end = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start++;
    while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
    const head = a.slice(0, start).join(""), tail = end ? a.slice(a.length - end).join("") : "";
    a = a.slice(start, a.length - end); b = b.slice(start, b.length - end);
    const pieces = [["=", head]];
    if (a.length * b.length > DIFF_CELLS) pieces.push(["-", a.join("")], ["+", b.join("")]);
    else pieces.push(...common(a, b));
    pieces.push(["=", tail]);
    const same = pieces.reduce((sum, [sign, text]) => (sign === "=" ? sum + text.length : sum), 0);
    if (same < ALIKE * Math.max(before.length, after.length)) return [["-", before], ["=", "\n\n"], ["+", after]];
    const joined = [];
    for (const [sign, text] of pieces) {
      if (!text) continue;
      if (joined.length && joined[joined.length - 1][0] === sign) joined[joined.length - 1][1] += text;
      else joined.push([sign, text]);
    }
    return joined;
  }
  function common(a, b) {
    const width = b.length + 1, lengths = new Uint32Array((a.length + 1) * width), pieces = [];
    for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] = a[i] === b[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
    let i = 0, j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { pieces.push(["=", a[i]]); i++; j++; }
      else if (j >= b.length || (i < a.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) pieces.push(["-", a[i++]]);
      else pieces.push(["+", b[j++]]);
    }
    return pieces;
  }

  // Drawing.
  const badge = (text, tone) => el("span", { class: "badge " + tone }, text);
  function tally(marks, needs) {
    if (!marks) return badge("not asked", "flat");
    if (marks.length === 1 && needs === null) return badge(WORDS[marks], TONES[marks]);
    const scored = [...marks].filter((mark) => mark === "+" || mark === "-").length;
    const passed = [...marks].filter((mark) => mark === "+").length;
    if (!scored) return badge(marks.length + " without a score", "wait");
    if (needs !== null) {
      const tone = passed >= needs ? "go" : passed + marks.length - scored < needs ? "stop" : "wait";
      return badge(`${passed} of ${scored} passed, needs ${needs}`, tone);
    }
    return badge(`${passed} of ${scored} passed`, passed === scored ? (scored === marks.length ? "go" : "wait") : passed ? "wait" : "stop");
  }
  function cell(data, a, marks, needs) {
    const trials = data.case.r[a] || [];
    // The trial that tells most: one that failed, else one without a score, else the first.
    const telling = trials.find((trial) => trial.m === "-") || trials.find((trial) => trial.m !== "+") || trials[0];
    if (!telling) return el("td", { "data-arm": index.arms[a].name }, el("span", { class: "fine" }, "not asked"));
    const answer = (telling.a || []).length ? data.text(telling.a[telling.a.length - 1]) : "";
    const failing = telling.m === "-" ? (telling.t || []).filter((one) => one[1] === "-") : [];
    const first = failing.length ? data.text(failing[0][0]) + (failing[0][3] === null ? "" : ": " + data.text(failing[0][3])) : "";
    const also = failing.length > 1 ? "; also " + failing.slice(1).map((one) => data.text(one[0])).join(", ") : "";
    const why = telling.m === "+" ? "" : data.text(telling.e) || first.slice(0, EXCERPT) + also || data.text(telling.r);
    return el("td", { "data-arm": index.arms[a].name },
      el("div", { class: "chips" }, tally(marks, needs), el("span", { class: "fine" }, data.text(telling.f))),
      why ? el("p", { class: "why " + TONES[telling.m], dir: "auto" }, why.slice(0, 2 * EXCERPT)) : null,
      answer ? el("p", { class: "excerpt", dir: "auto" }, answer.slice(0, EXCERPT)) : null);
  }
  const columns = () => (state.arm === "" ? index.arms.map((_, a) => a) : [Number(state.arm)]);
  function row(one) {
    const data = full(one.n);
    const open = el("button", { type: "button", class: "open", "aria-expanded": "false" }, el("bdi", {}, one.id));
    const line = el("tr", { class: "case" },
      el("th", { scope: "row" }, open,
        one.about && one.about !== one.id ? el("p", { class: "about-case", dir: "auto" }, one.about) : null,
        el("div", { class: "chips" }, badge(one.standing, STANDING_TONES[one.standing]), one.blocking ? badge("blocking", "flat") : null,
          one.tags.map((t) => el("span", { class: "tag" }, index.tags[t])))),
      columns().map((a) => cell(data, a, one.marks[a], one.needs)));
    open.addEventListener("click", () => toggle(one, line, open));
    return line;
  }
  function toggle(one, line, open) {
    const next = line.nextElementSibling;
    if (next && next.classList.contains("detail")) { next.remove(); open.setAttribute("aria-expanded", "false"); return; }
    line.after(el("tr", { class: "detail" }, el("td", { colspan: columns().length + 1 }, detail(one))));
    open.setAttribute("aria-expanded", "true");
  }
  function variables(data, pairs) {
    return el("dl", {}, pairs.map(([name, value]) => [el("dt", {}, data.text(name)), el("dd", { dir: "auto" }, data.text(value))]));
  }
  function detail(one) {
    const data = full(one.n), base = state.with === "" ? null : Number(state.with);
    const attacker = data.case.k === undefined ? null : el("p", { class: "about-case" }, "Attack: " + data.text(data.case.k));
    const facts = data.case.v.length ? el("div", { class: "facts" }, el("h3", {}, "Variables"), variables(data, data.case.v)) : null;
    const arms = columns().map((a) => el("div", { class: "column" }, (data.case.r[a] || []).map((trial, t) => {
      const others = base === null || base === a ? [] : data.case.r[base] || [];
      return card(data, a, trial, data.case.r[a].length > 1, others[t] || others[0], base);
    })));
    return [attacker, facts, el("div", { class: "columns" }, arms)];
  }
  function card(data, a, trial, numbered, other, base) {
    const answers = trial.a || [];
    const said = answers.map((answer, turn) => {
      const text = data.text(answer), before = other && (other.a || [])[turn] !== undefined ? data.text(other.a[turn]) : null;
      const turns = answers.length > 1 ? el("p", { class: "fine" }, "turn " + (turn + 1)) : null;
      if (before === null) return [turns, el("pre", { dir: "auto" }, text)];
      if (before === text) return [turns, el("p", { class: "fine" }, "the same answer as " + index.arms[base].name), el("pre", { dir: "auto" }, text)];
      const drawn = difference(before, text).map(([sign, piece]) => (sign === "=" ? piece : el(sign === "+" ? "ins" : "del", {}, piece)));
      return [turns, el("p", { class: "fine" }, "against " + index.arms[base].name), el("pre", { dir: "auto" }, drawn)];
    });
    return el("section", { class: "trial" },
      el("h3", {}, el("bdi", {}, index.arms[a].name + (numbered ? ", trial " + (trial.n + 1) : "")), badge(WORDS[trial.m], TONES[trial.m]), el("span", { class: "fine" }, data.text(trial.f))),
      trial.e !== undefined ? el("p", { class: "why wait" }, data.text(trial.e)) : null,
      trial.r !== undefined && trial.m !== "+" && trial.e === undefined ? el("p", { class: "why " + TONES[trial.m] }, data.text(trial.r)) : null,
      trial.k !== undefined ? el("details", { open: trial.m === "-" }, el("summary", {}, "The attack"), el("pre", { dir: "auto" }, data.text(trial.k))) : null,
      said.flat(),
      asserted(data, trial.t || []),
      trial.v ? el("details", {}, el("summary", {}, "Variables of this trial"), el("div", { class: "facts" }, variables(data, trial.v))) : null,
      trial.p !== undefined ? el("details", {}, el("summary", {}, "What was asked"), el("pre", { dir: "auto" }, data.text(trial.p))) : null);
  }
  function asserted(data, all) {
    if (!all.length) return null;
    return el("ul", { class: "asserted" }, all.map(([label, mark, score, reason, said, parts]) => el("li", {},
      el("span", { class: "sign " + TONES[mark], role: "img", "aria-label": WORDS[mark] }, SIGNS[mark]), data.text(label), " ",
      el("span", { class: "fine" }, data.text(score)),
      reason === null ? null : el("p", { dir: "auto" }, data.text(reason)),
      said === null ? null : el("details", {}, el("summary", {}, "What the judge said"), el("pre", { dir: "auto" }, data.text(said))),
      asserted(data, parts || []))));
  }

  // The list grows as somebody scrolls: thousands of rows are never in the page at once.
  let found = [], drawn = 0, body = null;
  function draw() {
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    found = index.order.map((n) => cases[n]).filter((one) => matches(one, words));
    table.replaceChildren(el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "case"), columns().map((a) => el("th", { scope: "col" }, el("bdi", {}, index.arms[a].name))))));
    body = el("tbody");
    table.append(body);
    drawn = 0;
    shown.value = `${number(found.length)} of ${number(cases.length)} cases`;
    filterNews(new Set(found.map((one) => one.id)));
    if (!found.length) body.append(el("tr", {}, el("td", { class: "nothing", colspan: columns().length + 1 }, "No case is like that.")));
    grow();
  }
  // An address that somebody was sent is about these cases: the table further up shows no others either.
  function filterNews(ids) {
    const parts = [...document.querySelectorAll(".news tbody")], note = $("filtered");
    for (const part of parts) part.hidden = !ids.has(part.dataset.case);
    if (note) { const kept = parts.filter((part) => !part.hidden).length; note.hidden = kept === parts.length; note.textContent = `${number(kept)} of these ${number(parts.length)} shown: the answers below are filtered`; }
  }
  function grow(until = drawn + PAGE) {
    const rows = [];
    for (; drawn < Math.min(until, found.length); drawn++) rows.push(row(found[drawn]));
    body.append(...rows);
    more.hidden = drawn >= found.length;
    more.textContent = `Show more (${number(found.length - drawn)})`;
  }
  function show(id) {
    const place = found.findIndex((one) => one.id === id);
    if (place < 0) return;
    grow(Math.max(drawn, place + 1));
    const line = body.querySelectorAll(":scope > .case")[place], open = line.querySelector(".open");
    if (open.getAttribute("aria-expanded") === "false") toggle(found[place], line, open);
    line.scrollIntoView({ block: "start" });
    open.focus({ preventScroll: true });
  }

  function options(select, choices, value) {
    select.replaceChildren(...choices.map(([key, text]) => el("option", { value: key, selected: key === value }, text)));
    if (!choices.some(([key]) => key === value)) select.selectedIndex = 0;
    select.closest("label").hidden = choices.length < 2;
  }
  function counted(test) { return number(cases.filter(test).length); }
  function fill() {
    const kinds = Object.keys(STANDING_TONES).filter((kind) => cases.some((one) => one.standing === kind));
    const trials = [["failed", "a trial failed"], ["mixed", "passed and failed"], ["unscored", "a trial without a score"], ["unanswered", "a trial without an answer"], ["passed", "every trial passed"]];
    options($("outcome"), [["", `all cases (${number(cases.length)})`], ["news", `to look at (${counted((one) => !QUIET.has(one.standing))})`],
      ...kinds.map((kind) => ["case:" + kind, `${kind} (${counted((one) => one.standing === kind)})`]),
      ...trials.filter(([kind]) => cases.some((one) => one.marks.some(TRIALS[kind]))).map(([kind, text]) => ["trial:" + kind, `${text} (${counted((one) => one.marks.some(TRIALS[kind]))})`])], state.outcome);
    options($("slice"), [["", "all"], ...index.tags.map((tag, t) => [tag, `${tag} (${counted((one) => one.tags.includes(t))})`])], state.slice);
    const arms = index.arms.map((arm, a) => [String(a), arm.name]);
    options($("arm"), arms.length > 1 ? [["", "all"], ...arms] : [["", "all"]], state.arm);
    options($("with"), arms.length > 1 ? [["", "nothing"], ...arms] : [["", "nothing"]], state.with);
    for (const name of ["outcome", "slice", "arm", "with"]) state[name] = $(name).value;
    search.value = state.q;
  }
  function follow() {
    const wanted = readAddress();
    fill();
    draw();
    if (wanted !== null) show(wanted);
  }

  for (const name of ["outcome", "slice", "arm", "with"]) {
    $(name).addEventListener("change", (event) => { state[name] = event.target.value; writeAddress(); draw(); });
  }
  let typing = 0;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { state.q = search.value; writeAddress(); draw(); }, 150);
  });
  $("clear").form.addEventListener("submit", (event) => event.preventDefault());
  $("clear").addEventListener("click", (event) => { event.preventDefault(); Object.assign(state, DEFAULTS); writeAddress(); fill(); draw(); });
  more.addEventListener("click", () => { const next = drawn; grow(); const opened = body.querySelectorAll(":scope > .case")[next]; if (opened) opened.querySelector(".open").focus(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && !event.ctrlKey && !event.metaKey) { event.preventDefault(); search.focus(); }
  });
  addEventListener("hashchange", () => { if (location.hash.includes("=")) follow(); });
  new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting) && !more.hidden) grow(); }, { rootMargin: "600px" }).observe(more);
  follow();
})();
