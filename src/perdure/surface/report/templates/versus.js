"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const A_PAGE = 20; // cases shown at a time
  const CUT = 20000; // characters of a text shown before it is asked for whole
  const CELLS = 4e6; // of the table by which words are compared; beyond it, texts are shown as they are
  const two = data.sides.length > 1;
  const form = document.getElementById("filters"), list = document.getElementById("list");
  const count = document.getElementById("count"), back = document.getElementById("back"), on = document.getElementById("on");
  const open = document.getElementById("open");
  let found = [], first = 0;

  // Every text goes through here: only text nodes are made, and what has no shape is named.
  const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]/g;
  const visible = text => text.replace(UNSEEN, char => {
    const code = char.charCodeAt(0);
    return code < 32 ? String.fromCharCode(0x2400 + code) : code === 127 ? "\u2421" : "[U+" + code.toString(16).toUpperCase().padStart(4, "0") + "]";
  });
  const el = (name, attributes, ...kids) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    for (const kid of kids) made.append(typeof kid === "string" ? visible(kid) : kid);
    return made;
  };
  const mean = values => {
    const known = values.filter(value => value !== null && value !== undefined);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
  };
  const points = value => value === null ? "–" : (value > 0 ? "+" : "") + (100 * value).toFixed(1);
  const score = value => value === null || value === undefined ? "–" : value.toFixed(2);

  // ------------------------------------------------------------------------------------- which cases
  const valueOf = (answer, scorer) => {
    if (scorer === "") return answer.score;
    const said = answer.scores.find(each => each[0] === Number(scorer));
    return said ? said[1] : null;
  };
  const scored = (item, scorer) => {
    const means = item.answers.map(side => mean(side.map(answer => valueOf(answer, scorer))));
    if (!two) return { change: means[0], flip: "" };
    if (scorer === "") return { change: item.change, flip: item.flip };
    if (!item.answers.every(side => side.length)) return { change: null, flip: "unpaired" };
    const change = means[0] === null || means[1] === null ? null : means[1] - means[0];
    const flip = change === null || Math.abs(change) <= data.tolerance + 1e-12 ? "same" : change > 0 ? "better" : "worse";
    return { change, flip };
  };
  const texts = item => item.lower ??= [item.id, item.question, item.expected, ...item.tags, ...item.answers.flat().map(answer => answer.text + "\n" + answer.error)].join("\n").toLowerCase();
  const select = () => {
    const wanted = new FormData(form), scorer = wanted.get("scorer") || "", flip = wanted.get("flip") || "";
    const tag = wanted.get("tag") || "", text = (wanted.get("text") || "").trim().toLowerCase(), order = wanted.get("order");
    found = [];
    data.cases.forEach((item, at) => {
      const now = scored(item, scorer);
      if (flip && now.flip !== flip) return;
      if (tag && !item.tags.includes(tag)) return;
      if (wanted.get("disagreement") && !item.disagreement) return;
      if (wanted.get("failed") && !item.failed) return;
      if (text && !texts(item).includes(text)) return;
      found.push({ item, at, ...now });
    });
    if (order !== "suite") {
      const sign = order === "down" ? 1 : -1;
      found.sort((a, b) => (a.change === null) - (b.change === null) || sign * (a.change - b.change) || a.at - b.at);
    }
    first = 0;
    show();
  };

  // -------------------------------------------------------------------------------------- the answers
  const tokens = text => text.match(/\s+|[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}\p{M}]/gu) || [];
  // Which words of either text the other has in the same order; null where they are too long for it.
  const common = (a, b) => {
    let head = 0, tail = 0;
    while (head < a.length && head < b.length && a[head] === b[head]) head++;
    while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
    const n = a.length - head - tail, m = b.length - head - tail, width = m + 1;
    if ((n + 1) * width > CELLS) return null;
    const inA = new Uint8Array(a.length).fill(1), inB = new Uint8Array(b.length).fill(1);
    inA.fill(0, head, head + n); inB.fill(0, head, head + m);
    const best = new Uint32Array((n + 1) * width);
    for (let i = n - 1; i >= 0; i--)
      for (let j = m - 1; j >= 0; j--)
        best[i * width + j] = a[head + i] === b[head + j] ? best[(i + 1) * width + j + 1] + 1 : Math.max(best[(i + 1) * width + j], best[i * width + j + 1]);
    for (let i = 0, j = 0; i < n && j < m;) {
      if (a[head + i] === b[head + j]) { inA[head + i++] = 1; inB[head + j++] = 1; }
      else if (best[(i + 1) * width + j] >= best[i * width + j + 1]) i++; else j++;
    }
    return [inA, inB];
  };
  const painted = (words, kept, name, spans) => {
    const pieces = document.createDocumentFragment();
    let run = "", kind = "", place = 0, span = 0;
    const flush = () => {
      if (!run) return;
      let node = document.createTextNode(visible(run));
      if (kind.includes("c")) node = el(name, {}, node);
      if (kind.includes("s")) node = el("mark", { title: "not supported by its contexts" }, node);
      pieces.append(node);
      run = "";
    };
    words.forEach((word, at) => {
      while (span < spans.length && spans[span][1] <= place) span++;
      const marked = span < spans.length && spans[span][0] < place + word.length;
      const now = (kept && !kept[at] ? "c" : "") + (marked ? "s" : "");
      if (now !== kind) { flush(); kind = now; }
      run += word;
      place += word.length;
    });
    flush();
    return pieces;
  };
  const answerBox = (side, answer, words, kept, note) => {
    const box = el("div", { class: "said s" + side }, el("h3", {}, data.sides[side]));
    if (!answer) { box.append(el("p", { class: "none" }, "No answer of this version.")); return box; }
    if (answer.error) box.append(el("p", { class: "bad" }, "failed: " + answer.error));
    const body = el("p", { class: "body", dir: "auto", tabindex: "0", role: "group", "aria-label": "Answer of " + data.sides[side] });
    body.append(painted(words, kept, side ? "ins" : "del", answer.spans));
    if (!answer.text) body.append(el("span", { class: "none" }, "(empty)"));
    box.append(body);
    if (answer.text.length > CUT) {
      const all = el("button", { type: "button" }, "Show all " + answer.text.length.toLocaleString("en") + " characters");
      all.addEventListener("click", () => {
        body.replaceChildren(document.createTextNode(visible(answer.text)));
        all.remove();
        body.focus();
      });
      box.append(all);
    }
    if (note) box.append(el("p", { class: "small" }, note));
    box.append(el("p", { class: "small" }, "score " + score(answer.score) + ", " + answer.cost + ", " + answer.ms.toLocaleString("en") + " ms" + (answer.cached ? ", the same draw as in an earlier run" : "")));
    return box;
  };
  const sampleOf = answers => {
    const shown = answers.map(answer => answer ? tokens(answer.text.slice(0, CUT)) : []);
    let kept = [null, null], note = "";
    if (two && answers[0] && answers[1]) {
      const same = common(shown[0], shown[1]);
      if (same) kept = same; else note = "Too long to be compared by words.";
    }
    const pair = el("div", { class: "pair" });
    data.sides.forEach((_, side) => pair.append(answerBox(side, answers[side], shown[side], kept[side], note)));
    const parts = document.createDocumentFragment();
    parts.append(pair, scoresOf(answers));
    return parts;
  };
  const scoresOf = answers => {
    const labels = [...new Set(answers.flatMap(answer => answer ? answer.scores.map(each => each[0]) : []))];
    const head = el("tr", {}, el("th", { scope: "col" }, "scorer"), ...data.sides.map(side => el("th", { scope: "col" }, side)), el("th", { scope: "col", class: "text" }, "why"));
    const rows = labels.map(label => {
      const said = answers.map(answer => answer && answer.scores.find(each => each[0] === label));
      const why = said.filter(each => each && (each[3] || each[2] !== "scored")).map(each => [each[2] === "scored" ? "" : each[2].replace("_", " "), each[3]].filter(Boolean).join(": "));
      return el("tr", {}, el("th", { scope: "row" }, data.labels[label]), ...data.sides.map((_, side) => el("td", {}, score(said[side] ? said[side][1] : null))), el("td", { class: "text" }, [...new Set(why)].join(" → ")));
    });
    const table = el("table", {}, el("caption", { class: "small text" }, "Scores of these answers, with why"), head, ...rows);
    return el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Scores of these answers" }, table);
  };
  const clipped = text => text.length > CUT ? text.slice(0, CUT) + " … (" + text.length.toLocaleString("en") + " characters)" : text;
  const fill = (within, item) => {
    const facts = el("dl");
    const fact = (name, text) => text && facts.append(el("dt", {}, name), el("dd", { class: "body", dir: "auto" }, clipped(text)));
    fact("asked", item.question);
    fact("expected", item.expected);
    item.contexts.forEach((text, at) => fact("context " + (at + 1), text));
    fact("judges disagree", item.disagreement);
    fact("cluster", item.cluster);
    within.append(facts);
    const n = Math.max(...item.answers.map(side => side.length));
    for (let at = 0; at < n; at++) {
      if (n > 1) within.append(el("h3", {}, "Sample " + (at + 1) + " of " + n));
      within.append(sampleOf(item.answers.map(side => side[at])));
    }
  };
  const row = ({ item, change, flip }) => {
    const head = el("summary");
    if (two) head.append(el("span", { class: "flip " + flip }, flip === "unpaired" ? "one only" : flip + (flip === "same" ? "" : " " + points(change))));
    else head.append(el("span", { class: "flip" }, score(change)));
    head.append(el("span", { class: "id" }, item.id), el("span", { class: "asked", dir: "auto" }, item.question.slice(0, 200).replace(/\s+/g, " ")));
    if (item.failed) head.append(el("span", { class: "tag bad" }, "failed"));
    if (item.disagreement) head.append(el("span", { class: "tag" }, "judges disagree"));
    item.tags.forEach(tag => head.append(el("span", { class: "tag" }, tag)));
    const within = el("div", { class: "within" }), box = el("details", { class: "case" }, head, within);
    box.addEventListener("toggle", () => { if (box.open && !within.hasChildNodes()) fill(within, item); });
    return el("li", {}, box);
  };

  // ------------------------------------------------------------------------------------------- pages
  const show = () => {
    const part = found.slice(first, first + A_PAGE);
    list.replaceChildren(...part.map(row));
    count.textContent = found.length ? "Cases " + (first + 1) + " to " + (first + part.length) + " of " + found.length.toLocaleString("en") : "No case is like that.";
    back.setAttribute("aria-disabled", String(first === 0));
    on.setAttribute("aria-disabled", String(first + A_PAGE >= found.length));
  };
  const turn = (button, by) => button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    first += by;
    show();
    count.scrollIntoView({ block: "nearest" });
  });
  turn(back, -A_PAGE);
  turn(on, A_PAGE);
  open.addEventListener("click", () => list.querySelectorAll("details.case").forEach(box => { box.open = true; }));
  let waiting = 0;
  form.addEventListener("input", event => {
    clearTimeout(waiting);
    waiting = setTimeout(select, event.target.name === "text" ? 150 : 0);
  });
  form.addEventListener("submit", event => event.preventDefault());
  select();
})();
