/* Draws every figure.picture by uPlot from the JSON beside its SVG, which stands until then and without scripts.
   Drag to zoom, double click (or the button) to go back. Times are the viewer's, colours those of tokens.css. Nothing moves by itself. */
(() => {
  "use strict";
  if (!window.uPlot) return;

  const HEIGHT = 240, NEAR = 7, N_COLOURS = 8;
  const held = new Map(); // figure → {text, plot, canvas, watcher}
  const number = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });
  const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
  const instant = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });
  const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const month = new Intl.DateTimeFormat(undefined, { month: "short" });

  const figureOf = (value) => value === null || value === undefined ? "–" : Math.abs(value) >= 1000 ? whole.format(value) : number.format(value);
  const whenOf = (told, x) => told.across ? `${told.across} ${whole.format(x)}` : instant.format(new Date(x * 1000));

  function colours() {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue(`--${name}`).trim();
  }

  function thin(colour, share) {
    const part = /^#([0-9a-f]{6})$/i.exec(colour);
    if (!part) return "transparent";
    const n = parseInt(part[1], 16);
    return `rgba(${n >> 16}, ${(n >> 8) & 255}, ${n & 255}, ${share})`;
  }

  function columns(told, of) {
    const data = [told.x], series = [{}], bands = [];
    told.series.forEach((each, at) => {
      const colour = of(`s${(at % N_COLOURS) + 1}`);
      series.push({ label: each.name, stroke: colour, width: 2, spanGaps: false, points: { size: 5, fill: colour, stroke: colour } });
      data.push(each.values);
      if (each.low.length && each.high.length) {
        const edge = { stroke: "transparent", width: 0, points: { show: false } };
        series.push({ ...edge }, { ...edge });
        data.push(each.high, each.low);
        bands.push({ series: [data.length - 2, data.length - 1], fill: thin(colour, 0.18) });
      }
    });
    return { data, series, bands };
  }

  /* As axes.span_of: from zero, unless the values lie close together far from it; the bound is always seen. */
  function span(told) {
    return (_, low, high) => {
      if (low === null || high === null) { low = 0; high = 1; }
      if (told.bound !== null) { low = Math.min(low, told.bound); high = Math.max(high, told.bound); }
      if ((low >= 0 && low < 0.75 * high) || low === high) low = Math.min(0, low);
      else if (high <= 0) high = 0;
      if (high === low) high = low + 1;
      return [low, high + (high - low) * 0.06];
    };
  }

  /* Along time: hours with their day below, days and months with their year below, each told where it begins. */
  function along(_, at, axis, space, step) {
    const days = step / 86400;
    let before = "";
    return at.map((x) => {
      const when = new Date(x * 1000);
      const below = days >= 1 ? String(when.getFullYear()) : day.format(when);
      const text = (days >= 28 ? month : days >= 1 ? day : hour).format(when) + (below === before ? "" : `\n${below}`);
      before = below;
      return text;
    });
  }

  function drawSpans(plot, told, of) {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const mark of told.marks) {
      if (mark.until === null) continue;
      const first = Math.max(plot.valToPos(mark.at, "x", true), bbox.left);
      const last = Math.min(plot.valToPos(mark.until, "x", true), bbox.left + bbox.width);
      if (last < bbox.left || first > bbox.left + bbox.width) continue;
      ctx.fillStyle = of(`${mark.tone}-back`);
      ctx.globalAlpha = 0.7;
      ctx.fillRect(first, bbox.top, Math.max(last - first, 1), bbox.height);
    }
    ctx.restore();
  }

  function drawBound(plot, told, of) {
    if (told.bound === null) return;
    const { ctx, bbox } = plot, ratio = devicePixelRatio;
    const y = plot.valToPos(told.bound, "y", true);
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = of("bad");
    ctx.lineWidth = 1.5 * ratio;
    ctx.setLineDash([6 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = `600 ${11 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "right";
    ctx.setLineDash([]);
    ctx.lineJoin = "round";
    ctx.lineWidth = 4 * ratio;
    ctx.strokeStyle = of("paper");
    const words = [told.bound_text || `bound ${figureOf(told.bound)}`, bbox.left + bbox.width, Math.max(y - 6 * ratio, bbox.top + 10 * ratio)];
    ctx.strokeText(...words);
    ctx.fillText(...words);
    ctx.restore();
  }

  function shape(ctx, kind, x, y, size) {
    ctx.beginPath();
    if (kind === "release" || kind === "back") {
      const up = kind === "release" ? size : -size;
      ctx.moveTo(x - size, y + up);
      ctx.lineTo(x + size, y + up);
      ctx.lineTo(x, y - up);
    } else if (kind === "incident") ctx.arc(x, y, size, 0, 2 * Math.PI);
    else {
      const half = kind === "fault" ? 0.8 * size : 0.25 * size;
      ctx.rect(x - half, y - size, 2 * half, 2 * size);
    }
    ctx.closePath();
    ctx.fill();
  }

  function drawMarks(plot, told, of) {
    const { ctx, bbox } = plot, ratio = devicePixelRatio;
    const seen = told.marks.filter((mark) => mark.at >= plot.scales.x.min && mark.at <= plot.scales.x.max);
    ctx.save();
    for (const mark of seen) {
      const x = plot.valToPos(mark.at, "x", true);
      if (seen.length <= 40 && mark.until === null) {
        ctx.strokeStyle = of("edge");
        ctx.lineWidth = ratio;
        ctx.setLineDash([2 * ratio, 3 * ratio]);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.setLineDash([]);
      }
      ctx.fillStyle = of(mark.tone);
      shape(ctx, mark.shape, x, bbox.top - 8 * ratio, 5 * ratio);
    }
    ctx.restore();
  }

  function legendOf(told) {
    const legend = document.createElement("p");
    legend.className = "legend told";
    const told_at = document.createElement("span");
    legend.append(told_at);
    const places = told.series.map((each, at) => {
      const span = document.createElement("span"), dash = document.createElement("i"), value = document.createElement("b");
      dash.className = `s${(at % N_COLOURS) + 1}`;
      dash.setAttribute("aria-hidden", "true");
      span.append(dash, each.name, " ", value);
      legend.append(span);
      return value;
    });
    const show = (at) => {
      told_at.textContent = at === null ? "newest" : whenOf(told, told.x[at]);
      told.series.forEach((each, n) => {
        const place = at === null ? each.values.findLastIndex((value) => value !== null) : at;
        const band = each.low.length && place >= 0 && each.low[place] !== null ? ` (${figureOf(each.low[place])} – ${figureOf(each.high[place])})` : "";
        places[n].textContent = `${figureOf(each.values[place])} ${told.unit}`.trim() + band;
      });
    };
    show(null);
    return { legend, show };
  }

  function markUnder(plot, told, left) {
    const at = plot.posToVal(left, "x");
    const near = told.marks.filter((mark) => Math.abs(plot.valToPos(mark.at, "x") - left) <= NEAR);
    if (near.length) return near;
    return told.marks.filter((mark) => mark.until !== null && mark.at <= at && at <= mark.until);
  }

  function tell(tip, plot, told) {
    const { left, idx } = plot.cursor;
    const found = left >= 0 && idx !== null ? markUnder(plot, told, left).slice(0, 4) : [];
    tip.hidden = !found.length;
    if (!found.length) return;
    tip.textContent = found.map((mark) => `${whenOf(told, mark.at)}: ${mark.text}`).join(" · ");
    const room = plot.over.clientWidth;
    tip.style.left = `${plot.over.offsetLeft + Math.min(left, Math.max(room - 200, 0))}px`;
    tip.style.top = `${plot.over.offsetTop + 4}px`;
  }

  /* A window that was dragged is what the page's form of the same picture asks for next. */
  function fillForm(figure, told, low, high) {
    const form = document.querySelector(`form[data-window="${CSS.escape(figure.id)}"]`);
    if (!form || told.across) return;
    const text = (x) => new Date(x * 1000).toISOString().slice(0, 16) + "Z";
    if (form.elements.from) form.elements.from.value = text(low);
    if (form.elements.to) form.elements.to.value = text(high);
  }

  function draw(figure, text) {
    forget(figure);
    let told;
    try { told = JSON.parse(text); } catch { return; }
    const drawing = figure.querySelector("svg");
    if (!told.x.length || !drawing) return;
    const of = colours(), { data, series, bands } = columns(told, of);
    const canvas = document.createElement("div"), tip = document.createElement("p"), back = document.createElement("button");
    canvas.className = "canvas";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${told.title}. ${drawing.querySelector("desc")?.textContent ?? ""}`);
    tip.className = "tip";
    tip.hidden = true;
    back.type = "button";
    back.className = "back small";
    back.textContent = "Whole window";
    back.hidden = true;
    const { legend, show } = legendOf(told);
    drawing.before(back, canvas);
    canvas.after(legend);
    figure.classList.add("drawn");
    const axis = { stroke: of("soft"), font: "11px system-ui, sans-serif", grid: { stroke: of("line"), width: 1 }, ticks: { stroke: of("line"), width: 1 } };
    const first = told.x[0], last = told.x[told.x.length - 1], alone = told.across ? 1 : 43200; // of one value alone: uPlot would show three years
    const plot = new uPlot({
      width: Math.max(canvas.clientWidth, 200), height: HEIGHT, bands, series,
      padding: [22, 12, 0, 0],
      legend: { show: false },
      scales: { x: { time: !told.across, range: (_, low, high) => first === last ? [first - alone, first + alone] : [low, high] }, y: { range: span(told) } },
      axes: [{ ...axis, ...(told.across ? { values: (_, at) => at.map((x) => whole.format(x)) } : { values: along }) }, { ...axis, size: 58, values: (_, at) => at.map(figureOf) }],
      cursor: { drag: { x: true, y: false }, points: { size: 7 }, y: false },
      hooks: {
        drawClear: [(plot) => drawSpans(plot, told, of)],
        draw: [(plot) => { drawBound(plot, told, of); drawMarks(plot, told, of); }],
        setCursor: [(plot) => { show(plot.cursor.left >= 0 ? plot.cursor.idx : null); tell(tip, plot, told); }],
        setScale: [(plot, name) => {
          if (name !== "x") return;
          const { min, max } = plot.scales.x;
          back.hidden = min <= first && max >= last;
          if (!back.hidden) fillForm(figure, told, min, max);
        }],
      },
    }, data, canvas);
    canvas.append(tip);
    back.addEventListener("click", () => plot.setScale("x", { min: first, max: last }));
    const watcher = new ResizeObserver(() => { if (canvas.clientWidth) plot.setSize({ width: canvas.clientWidth, height: HEIGHT }); });
    watcher.observe(canvas);
    held.set(figure, { text, plot, canvas, watcher, made: [back, canvas, legend] });
  }

  function forget(figure) {
    const old = held.get(figure);
    if (!old) return;
    old.watcher.disconnect();
    old.plot.destroy();
    old.made.forEach((each) => each.remove());
    figure.classList.remove("drawn");
    held.delete(figure);
  }

  /* A panel that was asked for again holds new figures, or old ones whose numbers are new or whose canvas was taken away. */
  function scan(anew) {
    for (const figure of [...held.keys()]) if (!figure.isConnected) forget(figure);
    for (const figure of document.querySelectorAll("figure.picture")) {
      const text = figure.querySelector("script.points")?.textContent ?? "";
      const old = held.get(figure);
      const whole = old && old.text === text && old.canvas.isConnected && figure.classList.contains("drawn");
      if (text && (anew || !whole)) draw(figure, text);
    }
  }

  document.addEventListener("htmx:after:swap", () => scan(false));
  new MutationObserver(() => scan(true)).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => scan(true));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => scan(false));
  else scan(false);
})();
