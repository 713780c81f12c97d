// Draws the page of a run. Nothing is fetched; all numbers are in the element "data".
"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
const START = D.start, END = START + Math.max(D.steps * D.dt, 1e-9);
const names = Object.keys(D.slots), hidden = new Set(D.hidden);
const shown = name => !hidden.has(name);
const linked = [], still = [];
let view = [START, END], cursor = null, theme = {};

// -- numbers ------------------------------------------------------------------------------------------------------

function bytes(text) {
  const from = atob(text), out = new Uint8Array(from.length);
  for (let k = 0; k < from.length; k++) out[k] = from.charCodeAt(k);
  return out;
}
const floats = text => new Float32Array(bytes(text).buffer);

function whole(text) {  // LEB128: seven bits a byte, the eighth says that there are more
  const from = bytes(text);
  let n = 0;
  for (const b of from) if (b < 128) n++;
  const out = new Float64Array(n);
  for (let k = 0, at = 0; k < n; k++) {
    let value = 0, unit = 1, b;
    do { b = from[at++]; value += (b & 127) * unit; unit *= 128; } while (b > 127);
    out[k] = value;
  }
  return out;
}

function summed(values) {  // undoes differences
  for (let k = 1; k < values.length; k++) values[k] += values[k - 1];
  return values;
}

const first = (array, value) => { let a = 0, b = array.length; while (a < b) { const m = (a + b) >> 1; if (array[m] < value) a = m + 1; else b = m; } return a; };
const greatest = array => array.reduce((a, b) => Math.max(a, b), -Infinity);

// -- drawing ------------------------------------------------------------------------------------------------------

function restyle() {
  const held = getComputedStyle(document.documentElement), get = name => held.getPropertyValue(name).trim();
  theme = { soft: get("--soft"), ink: get("--ink"), axis: get("--axis"), accent: get("--accent"), ground: get("--ground"),
            slots: Array.from({ length: 8 }, (_, k) => get("--c" + k)) };
  theme.key = theme.slots.join() + theme.ink;
  LEFT = document.body.clientWidth > 700 ? 96 : 62;
}
const colour = name => theme.slots[D.slots[name]];

function canvas(host, height, label) {
  const c = document.createElement("canvas");
  c.setAttribute("role", "img");
  c.setAttribute("aria-label", label);
  c.style.height = height + "px";
  host.append(c);
  return c;
}

function line(host, kind, text = "") {
  const made = document.createElement(kind === "read" ? "output" : "p");
  made.className = kind === "read" ? "read" : "soft note";
  made.textContent = text;
  host.append(made);
  return made;
}

function fit(c) {  // device pixels, so that lines are sharp; returns a context in CSS pixels
  const ratio = window.devicePixelRatio || 1, w = c.clientWidth, h = c.clientHeight;
  if (c.width !== Math.round(w * ratio) || c.height !== Math.round(h * ratio)) {
    c.width = Math.round(w * ratio);
    c.height = Math.round(h * ratio);
  }
  const g = c.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, w, h);
  g.font = "12px system-ui, Roboto, Arial, sans-serif";
  g.lineWidth = 1;
  return [g, w, h];
}

function ticks(lo, hi, most) {
  const raw = (hi - lo) / Math.max(1, most), power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(k => k * power).find(s => s >= raw) || power;
  const out = [];
  for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + 1e-9 * step; k++) out.push(k * step);
  return [out, step];
}

const minus = text => text.replace("-", "−");
function short(x, step) {
  const digits = Math.max(0, Math.min(9, -Math.floor(Math.log10(step) + 1e-9)));
  if (Math.abs(x) < step * 1e-6) return "0";
  return minus(Math.abs(x) >= 1e5 || step < 1e-4 ? x.toExponential(1).replace("e+", "e") : x.toFixed(digits));
}
const value = x => x === undefined || Number.isNaN(x) ? "–" : minus(Math.abs(x) >= 1e6 ? x.toExponential(3).replace("e+", "e") : String(+x.toPrecision(4)));

function cut(g, text, most) {  // leaves out the middle: both ends of a name tell it from others
  if (g.measureText(text).width <= most) return text;
  let n = text.length;
  while (n > 2 && g.measureText(text.slice(0, n >> 1) + "…" + text.slice(text.length - (n >> 1))).width > most) n -= 2;
  return text.slice(0, n >> 1) + "…" + text.slice(text.length - (n >> 1));
}

let LEFT = 62;
const RIGHT = 22, TOP = 8, BOTTOM = 38;

function frame(g, w, h, x, y, xlabel, ylabel, logarithmic = false) {  // axes; x and y are [low, high]; returns the two scales
  const fx = logarithmic ? Math.log : v => v;
  const sx = v => LEFT + (fx(v) - fx(x[0])) / (fx(x[1]) - fx(x[0])) * (w - LEFT - RIGHT);
  const sy = v => h - BOTTOM - (v - y[0]) / (y[1] - y[0]) * (h - TOP - BOTTOM);
  g.strokeStyle = theme.axis;
  g.fillStyle = theme.soft;
  g.beginPath();
  g.moveTo(LEFT, TOP); g.lineTo(LEFT, h - BOTTOM); g.lineTo(w - RIGHT, h - BOTTOM);
  let [xs, xstep] = ticks(x[0], x[1], (w - LEFT) / 90);
  if (logarithmic) { xs = [1, 2, 5, 10, 20, 50, 100, 200, 500].filter(v => v >= x[0] && v <= x[1]); xstep = 1; }
  g.textAlign = "center"; g.textBaseline = "top";
  for (const v of xs) { g.moveTo(sx(v), h - BOTTOM); g.lineTo(sx(v), h - BOTTOM + 4); g.fillText(short(v, xstep), sx(v), h - BOTTOM + 6); }
  if (ylabel !== null) {
    const [ys, ystep] = ticks(y[0], y[1], (h - TOP - BOTTOM) / 32);
    g.textAlign = "right"; g.textBaseline = "middle";
    for (const v of ys) { g.moveTo(LEFT - 4, sy(v)); g.lineTo(LEFT, sy(v)); g.fillText(short(v, ystep), LEFT - 7, sy(v)); }
    g.save(); g.translate(8, TOP + (h - TOP - BOTTOM) / 2); g.rotate(-Math.PI / 2); g.textAlign = "center"; g.fillText(cut(g, ylabel, h - TOP - 8), 0, 0); g.restore();
  }
  g.stroke();
  g.textAlign = "right"; g.textBaseline = "bottom";
  g.fillText(xlabel, w - RIGHT, h - 1);
  return [sx, sy];
}

function clip(g, w, h) {
  g.save(); g.beginPath(); g.rect(LEFT, TOP - 1, w - LEFT - RIGHT, h - TOP - BOTTOM + 2); g.clip();
}

const timeUnit = () => view[1] - view[0] < 2 ? [1e3, "ms"] : [1, "s"];
function timeFrame(g, w, h, y, ylabel) {  // axes of a panel over time, with the line that is read at; scales take seconds
  const [f, unit] = timeUnit(), [sx, sy] = frame(g, w, h, [view[0] * f, view[1] * f], y, `time (${unit})`, ylabel);
  if (cursor !== null && cursor >= view[0] && cursor <= view[1]) {
    g.save(); g.strokeStyle = theme.ink; g.setLineDash([3, 3]); g.beginPath(); g.moveTo(sx(cursor * f), TOP); g.lineTo(sx(cursor * f), h - BOTTOM); g.stroke(); g.restore();
  }
  return [t => sx(t * f), sy];
}

// -- panels that share the time -----------------------------------------------------------------------------------

function link(c, draw, point = () => {}) {
  linked.push(() => draw(...fit(c)));
  c.tabIndex = 0;
  c.className = "time";
  c.setAttribute("aria-describedby", "help");
  const pointers = new Map(), span = () => c.clientWidth - LEFT - RIGHT;
  let moved = 0;
  const at = x => view[0] + (x - c.getBoundingClientRect().left - LEFT) / span() * (view[1] - view[0]);
  const read = e => { const t = at(e.clientX); point(e.clientY - c.getBoundingClientRect().top); look(t >= view[0] && t <= view[1] ? t : null); };
  c.addEventListener("pointerdown", e => { moved = 0; pointers.set(e.pointerId, e.clientX); c.setPointerCapture(e.pointerId); });
  c.addEventListener("pointerup", e => { if (moved < 4) read(e); pointers.delete(e.pointerId); });
  c.addEventListener("pointercancel", e => pointers.delete(e.pointerId));
  c.addEventListener("pointerleave", e => { if (e.pointerType === "mouse" && !pointers.size) { point(null); look(null); } });
  c.addEventListener("pointermove", e => {
    if (!pointers.has(e.pointerId)) { if (e.pointerType === "mouse") read(e); return; }
    const before = [...pointers.values()];
    pointers.set(e.pointerId, e.clientX);
    const now = [...pointers.values()];
    moved += Math.abs(e.movementX || 0) + (now.length > 1 ? 9 : 0);
    if (now.length === 1) shift(-(now[0] - before[0]) / span());
    else {
      const wide = Math.abs(before[0] - before[1]), wider = Math.abs(now[0] - now[1]);
      if (wide > 4 && wider > 4) zoom(wide / wider, at((now[0] + now[1]) / 2));
    }
  });
  c.addEventListener("wheel", e => {
    const sideways = e.shiftKey && !e.deltaX ? e.deltaY : Math.abs(e.deltaX) > Math.abs(e.deltaY) ? e.deltaX : 0;
    if (e.ctrlKey || e.metaKey) zoom(2 ** (e.deltaY / 200), at(e.clientX));
    else if (sideways) shift(sideways / span());
    else return;
    e.preventDefault();
  }, { passive: false });
  c.addEventListener("dblclick", () => show(START, END));
  c.addEventListener("keydown", e => {
    const step = by => e.shiftKey ? look(Math.max(view[0], Math.min(view[1], (cursor ?? (view[0] + view[1]) / 2) + by * (view[1] - view[0]) / 100))) : shift(by * 0.2);
    const act = { ArrowLeft: () => step(-1), ArrowRight: () => step(1), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), "0": () => show(START, END), Escape: () => look(null) }[e.key];
    if (act && !e.ctrlKey && !e.metaKey && !e.altKey) { e.preventDefault(); act(); }
  });
}

function show(a, b) {
  const all = END - START, least = Math.min(all, 20 * D.dt), wide = Math.min(all, Math.max(least, b - a));
  const start = Math.max(START, Math.min(END - wide, a));
  view = [start, start + wide];
  paint();
}
function look(t) { cursor = t; paint(); }
const shift = part => { const by = part * (view[1] - view[0]); show(view[0] + by, view[1] + by); };
const zoom = (factor, about = (view[0] + view[1]) / 2) => show(about - (about - view[0]) * factor, about + (view[1] - about) * factor);

let waiting = false, all = true;
function draw() {
  waiting = false;
  const [f, unit] = timeUnit(), now = document.getElementById("now");
  const digits = Math.max(0, Math.min(9, Math.ceil(-Math.log10(Math.max(D.dt, (view[1] - view[0]) / 1000) * f))));
  if (now) now.textContent = cursor === null ? "" : `at ${(cursor * f).toFixed(digits)} ${unit}`;
  for (const one of linked) one();
  if (all) for (const one of still) one();
  all = false;
  if (!document.documentElement.dataset.drawn) performance.mark("drawn");
  document.documentElement.dataset.drawn = "yes";
}
function paint(everything = false) {
  all = all || everything;
  if (!waiting) requestAnimationFrame(draw);
  waiting = true;
}

function raster(host) {
  const parts = D.raster.map(p => {
    const code = summed(whole(p.codes)), rows = Math.max(1, p.rows), at = new Float64Array(code.length), row = new Uint32Array(code.length);
    for (let k = 0; k < code.length; k++) { at[k] = Math.floor(code[k] / rows); row[k] = code[k] - at[k] * rows; }
    return { ...p, at, row, ids: summed(whole(p.ids)) };
  });
  const rows = parts.reduce((n, p) => n + p.rows, 0), height = Math.max(150, Math.min(480, 60 + Math.max(2 * rows, Math.min(9 * rows, 240))), Math.min(560, 60 + 14 * parts.length));
  const said = parts.slice(0, 12).map(p => `${p.label} ${p.spikes.toLocaleString("en")}`).join(", ");
  const c = canvas(host, height, `Spikes of ${parts.length} populations over time, a row a neuron: ${said}${parts.length > 12 ? ", …" : ""}`);
  const out = line(host, "read"), drawn = parts.reduce((n, p) => n + p.rows, 0), of = parts.reduce((n, p) => n + p.of, 0);
  const about = `A row a neuron${drawn < of ? `, ${drawn.toLocaleString("en")} of ${of.toLocaleString("en")}` : ""}; where dots lie over each other, a stronger colour is more spikes.`;
  let kept = "", image = null, bands = [], pointed = null;

  function place(high) {  // a band is never lower than its name, where there is room for all names
    const gap = parts.length > 40 ? 0 : Math.min(6, high * 0.15 / parts.length), free = high - gap * (parts.length - 1);
    const least = Math.min(14, free / parts.length * 0.5), spare = free - least * parts.length;
    let top = 0;
    bands = parts.map(p => { const tall = least + spare * p.rows / Math.max(1, rows), band = [top, tall]; top += tall + gap; return band; });
  }

  function fill(g, W, H, ratio) {  // counts the spikes of each pixel: where many lie over each other, the colour is stronger
    const counts = new Uint16Array(W * H), span = view[1] - view[0], perStep = W * D.dt / span;
    let inside = 0;
    const ranges = parts.map(p => { const a = first(p.at, (view[0] - START) / D.dt - 1), b = first(p.at, (view[1] - START) / D.dt + 1); inside += b - a; return [a, b]; });
    const wide = Math.max(1, Math.round(Math.max((inside > W * H * 0.02 / ratio / ratio ? 1.3 : 2) * ratio, Math.min(3 * ratio, perStep))));
    const shades = new Uint32Array(H), test = document.createElement("canvas").getContext("2d");
    parts.forEach((p, j) => {
      const [top, tall] = bands[j], each = tall * ratio / Math.max(1, p.rows), high = Math.max(Math.round(1.6 * ratio), Math.min(8 * ratio, Math.round(each * 0.85)));
      test.fillStyle = colour(p.name);
      const rgb = parseInt(test.fillStyle.slice(1), 16), packed = (rgb & 255) << 16 | (rgb & 0xff00) | rgb >> 16;
      for (let y = Math.floor(top * ratio); y < Math.min(H, Math.ceil((top + tall) * ratio) + high); y++) shades[y] = packed;
      const line = Int32Array.from({ length: p.rows }, (_, k) => Math.floor(top * ratio + k * each)), { at, row } = p, from = (START - view[0]) / span * W;
      for (let k = ranges[j][0]; k < ranges[j][1]; k++) {
        const x0 = Math.floor(from + at[k] * perStep), y0 = line[row[k]], x1 = Math.min(W, x0 + wide), y1 = Math.min(H, y0 + high);
        for (let y = y0; y < y1; y++) for (let x = Math.max(0, x0); x < x1; x++) counts[y * W + x]++;
      }
    });
    const often = new Uint32Array(65536);
    let used = 0;
    for (let k = 0; k < counts.length; k++) if (counts[k]) { often[counts[k]]++; used++; }
    let most = 1;
    for (let sum = often[1]; sum < used * 0.99 && most < 65535; most++) sum += often[most + 1];
    const alpha = Uint32Array.from({ length: 65536 }, (_, n) => (most <= 2 ? 255 : Math.round(255 * (0.3 + 0.7 * Math.min(1, (n - 1) / (most - 1))))) << 24);
    const made = g.createImageData(W, H), to = new Uint32Array(made.data.buffer);
    for (let y = 0, k = 0; y < H; y++) for (let x = 0; x < W; x++, k++) if (counts[k]) to[k] = shades[y] | alpha[counts[k]];
    return made;
  }

  link(c, (g, w, h) => {
    const ratio = window.devicePixelRatio || 1, W = Math.max(1, Math.round((w - LEFT - RIGHT) * ratio)), H = Math.max(1, Math.round((h - TOP - BOTTOM) * ratio));
    const key = [view, W, H, LEFT, theme.key].join();
    if (key !== kept) { place(h - TOP - BOTTOM); image = fill(g, W, H, ratio); kept = key; }
    g.putImageData(image, Math.round(LEFT * ratio), Math.round(TOP * ratio));
    timeFrame(g, w, h, [0, 1], null);
    g.fillStyle = theme.soft; g.textAlign = "right"; g.textBaseline = "middle";
    let last = -Infinity;
    parts.forEach((p, j) => {
      const middle = TOP + bands[j][0] + bands[j][1] / 2;
      if (middle - last < 11) return;
      g.fillText(cut(g, p.label === p.name ? p.label : p.label.slice(p.name.length + 2), LEFT - 8), LEFT - 6, middle);
      last = middle;
    });
    const j = pointed === null || cursor === null ? -1 : bands.findIndex(([top, tall]) => pointed - TOP >= top && pointed - TOP <= top + tall);
    out.textContent = j < 0 ? about : `${parts[j].label}, neuron ${parts[j].ids[Math.min(parts[j].rows - 1, Math.floor((pointed - TOP - bands[j][0]) / bands[j][1] * parts[j].rows))] ?? "–"}`;
  }, y => { pointed = y; });
}

function rates(host) {
  const series = D.rates.map(r => {
    const counts = r.counts ? whole(r.counts) : null;
    return { ...r, values: counts ? Float32Array.from(counts, n => n * r.to_rate) : floats(r.values) };
  });
  const many = series.length > 16, rows = series.length > 4 && !many, height = many ? Math.min(480, 60 + 6 * series.length) : rows ? 60 + 34 * series.length : 190;
  const mean = r => r.values.reduce((a, b) => a + b, 0) / Math.max(1, r.values.length);
  const said = series.slice(0, 12).map(r => `${r.name} mean ${value(mean(r))}, highest ${value(greatest(r.values))} Hz`).join("; ");
  const c = canvas(host, height, `Rate over time: ${said}${series.length > 12 ? "; …" : ""}`), out = line(host, "read");
  const binned = (r, few, k) => { let sum = 0, n = 0; for (let i = k * few; i < Math.min(r.values.length, (k + 1) * few); i++, n++) sum += r.values[i]; return n ? sum / n : NaN; };
  link(c, (g, w, h) => {
    const drawn = series.filter(r => many || shown(r.name)), pixels = Math.max(50, (w - LEFT - RIGHT) / 2.2);
    const step = r => { const raw = (view[1] - view[0]) / pixels / r.width; return [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find(k => k >= raw) || 5000; };
    let most = 0;
    const lines = drawn.map(r => {
      const few = step(r), s = few * r.width, a = Math.max(0, Math.floor((view[0] - START) / s)), b = Math.min(Math.ceil(r.values.length / few), Math.ceil((view[1] - START) / s)), ys = [];
      for (let k = a; k < b; k++) { const y = binned(r, few, k); ys.push(y); if (y > most) most = y; }
      return { r, s, a, ys };
    });
    const n = rows || many ? drawn.length : 1, top = most * 1.08 || 1, tall = (h - TOP - BOTTOM) / Math.max(1, n);
    const [sx, sy] = timeFrame(g, w, h, [0, top], rows || many ? null : "rate (Hz)");
    lines.forEach(({ r, s, a, ys }, j) => {
      const base = rows || many ? TOP + (j + 1) * tall : h - BOTTOM, scale = rows ? tall * 0.86 : 0, own = greatest(ys) || 1, at = y => rows ? base - y / own * scale : sy(y);
      clip(g, w, h);
      g.fillStyle = g.strokeStyle = many ? theme.accent : colour(r.name);
      if (many) ys.forEach((y, k) => { if (y) { g.globalAlpha = Math.sqrt(y / top); const x0 = Math.round(sx(START + (a + k) * s)); g.fillRect(x0, Math.floor(base - tall), Math.round(sx(START + (a + k + 1) * s)) - x0, Math.ceil(tall)); } });
      else {
        g.lineWidth = 1.3; g.beginPath();
        ys.forEach((y, k) => { g.lineTo(sx(START + (a + k) * s), at(y)); g.lineTo(sx(START + (a + k + 1) * s), at(y)); });
        g.stroke();
        if (rows) { g.globalAlpha = 0.3; g.lineTo(sx(START + (a + ys.length) * s), base); g.lineTo(sx(START + a * s), base); g.fill(); }
      }
      g.restore();
      if (rows) { const text = `${value(+greatest(ys).toPrecision(3))} Hz`; g.textAlign = "right"; g.textBaseline = "top"; g.strokeStyle = theme.ground; g.lineWidth = 4; g.strokeText(text, w - RIGHT, base - tall + 1); g.fillStyle = theme.soft; g.fillText(text, w - RIGHT, base - tall + 1); }
      if (rows || (many && (j === 0 || Math.floor(j * tall / 13) > Math.floor((j - 1) * tall / 13)))) {
        g.fillStyle = theme.soft; g.textAlign = "right"; g.textBaseline = "middle"; g.fillText(cut(g, r.name, LEFT - 8), LEFT - 6, base - tall / 2);
      }
    });
    const bin = lines.length ? lines[0].s * 1e3 : 0;
    const about = !lines.length ? "" : `Spikes a second of a neuron, in bins of ${value(bin)} ms` + (rows ? "; each row on a scale of its own, from 0 to the value at its right" : many ? `; one row a population, the strongest colour is ${value(most)} Hz` : "");
    out.textContent = cursor === null ? about : lines.slice(0, 10).map(({ r, s, a, ys }) => `${r.name} ${value(ys[Math.floor((cursor - START) / s) - a])} Hz`).join(" · ") + (lines.length > 10 ? " · …" : "");
  });
}

function traces(host) {
  for (const t of D.traces) {
    const at = t.at ? new Float64Array(bytes(t.at).buffer) : null, series = t.values.map(floats), number = series[0].length, off = new Set(t.every > 4 ? t.ids.keys() : []);
    off.delete(0);  // long ones lie over each other: the others can be added
    const time = k => at ? at[k] : t.from + k * t.step, near = v => at ? first(at, v) : Math.max(0, Math.min(number, Math.ceil((v - t.from) / (t.step || 1))));
    const title = document.createElement("h3"), legend = document.createElement("div");
    title.textContent = `${t.variable} of ${t.name}`;
    legend.className = "legend";
    legend.setAttribute("role", "group");
    legend.setAttribute("aria-label", `Neurons of ${title.textContent}`);
    const labels = t.ids.map((id, j) => {
      const b = document.createElement("button"), mark = document.createElement("i"), text = document.createElement("span");
      mark.className = "swatch s" + j;
      text.textContent = `neuron ${id}`;
      b.setAttribute("aria-pressed", String(!off.has(j)));
      b.append(mark, text);
      b.addEventListener("click", () => { if (!off.delete(j)) off.add(j); b.setAttribute("aria-pressed", String(!off.has(j))); paint(); });
      legend.append(b);
      return text;
    });
    host.append(title, legend);
    const notes = [t.of > t.ids.length ? `${t.ids.length} of ${t.of} recorded neurons` : "", t.every > 1 ? `lowest and highest of every ${t.every} samples` : ""].filter(Boolean);
    if (notes.length) line(host, "note", notes.join("; "));
    const ends = v => { let lo = Infinity, hi = -Infinity; for (const x of v) { if (x < lo) lo = x; if (x > hi) hi = x; } return `${value(lo)} to ${value(hi)} ${t.unit}`; };
    const c = canvas(host, 170, `${title.textContent} over time: ` + series.map((v, j) => `neuron ${t.ids[j]} from ${ends(v)}`).join("; "));
    link(c, (g, w, h) => {
      const a = Math.max(0, near(view[0]) - 1), b = Math.min(number, near(view[1]) + 1);
      let lo = Infinity, hi = -Infinity;
      series.forEach((v, j) => { if (!off.has(j)) for (let k = a; k < b; k++) { if (v[k] < lo) lo = v[k]; if (v[k] > hi) hi = v[k]; } });
      if (!(lo < Infinity)) { lo = 0; hi = 1; }
      const room = (hi - lo || Math.abs(hi) || 1) * 0.06;
      const [sx, sy] = timeFrame(g, w, h, [lo - room, hi + room], t.unit ? `${t.variable} (${t.unit})` : t.variable);
      clip(g, w, h);
      series.forEach((v, j) => {
        if (off.has(j)) return;
        g.strokeStyle = theme.slots[j]; g.lineWidth = 1.2; g.beginPath();
        for (let k = a; k < b; k++) g.lineTo(sx(time(k)), sy(v[k]));
        g.stroke();
      });
      g.restore();
      const k = cursor === null ? -1 : Math.max(0, Math.min(number - 1, near(cursor)));
      labels.forEach((text, j) => { text.textContent = `neuron ${t.ids[j]}` + (k < 0 ? "" : `: ${value(series[j][k])} ${t.unit}`); });
    });
  }
}

function weights(host) {
  for (const t of D.weights) {
    const title = document.createElement("h3");
    title.textContent = `Weights of ${t.name}`;
    host.append(title);
    const end = t.mean.length - 1, c = canvas(host, 200, `${title.textContent} over time, as histograms: the mean goes from ${value(t.mean[0])} to ${value(t.mean[end])} ${t.unit}`);
    const out = line(host, "read"), most = greatest(t.counts.flat()), step = (t.high - t.low) / t.counts[0].length;
    const about = `${t.edges.toLocaleString("en")} synapses in bins of ${value(step)} ${t.unit}`.trim() + `; the strongest colour is ${value(100 * most)} % of them; the line is their mean`;
    const span = t.at.length > 1 ? t.at[1] - t.at[0] : t.at[0] - START || END - START;
    link(c, (g, w, h) => {
      const [sx, sy] = timeFrame(g, w, h, [t.low, t.high], t.unit ? `weight (${t.unit})` : "weight");
      clip(g, w, h);
      g.fillStyle = theme.accent;
      t.counts.forEach((row, k) => row.forEach((n, j) => {
        if (!n) return;
        g.globalAlpha = 0.08 + 0.92 * Math.sqrt(n / most);
        const x0 = Math.round(sx(k ? t.at[k - 1] : t.at[k] - span)), y1 = Math.round(sy(t.low + (j + 1) * step));
        g.fillRect(x0, y1, Math.round(sx(t.at[k])) - x0, Math.round(sy(t.low + j * step)) - y1);
      }));
      g.globalAlpha = 1; g.strokeStyle = theme.ink; g.lineWidth = 1.5; g.beginPath();
      t.at.forEach((v, k) => g.lineTo(sx(v), sy(t.mean[k])));
      g.stroke();
      g.restore();
      const k = cursor === null ? -1 : Math.min(end, first(t.at, cursor));
      out.textContent = k < 0 ? about : `mean ${value(t.mean[k])} ${t.unit}`.trim();
    });
  }
}

// -- panels of their own ------------------------------------------------------------------------------------------

const DASHES = [[], [6, 3], [2, 2], [8, 2, 2, 2]];
function curves(host, series, xlabel, ylabel, label, bars) {
  const c = canvas(host, 210, label);
  still.push(() => {
    const [g, w, h] = fit(c), drawn = series.filter(s => shown(s.name)), some = drawn.length ? drawn : series.slice(0, 0);
    const right = some.reduce((m, s) => Math.max(m, bars ? s.width * s.y.length : s.x[s.x.length - 1]), bars ? 1e-9 : 10), top = some.reduce((m, s) => Math.max(m, greatest(s.y)), bars ? 0 : 1);
    const [sx, sy] = frame(g, w, h, [bars ? 0 : 2, right], [0, top * 1.08 || 1], xlabel, ylabel, !bars);
    clip(g, w, h);
    if (!bars) { g.strokeStyle = theme.axis; g.setLineDash([2, 4]); g.beginPath(); g.moveTo(LEFT, sy(1)); g.lineTo(w, sy(1)); g.stroke(); }
    for (const s of some) {
      g.setLineDash(DASHES[some.length > 2 ? names.indexOf(s.name) % 2 : 0]);
      g.strokeStyle = colour(s.name); g.lineWidth = 1.4; g.beginPath();
      if (bars) { g.moveTo(sx(0), sy(0)); s.y.forEach((v, k) => { g.lineTo(sx(k * s.width), sy(v)); g.lineTo(sx((k + 1) * s.width), sy(v)); }); } else s.x.forEach((v, k) => g.lineTo(sx(v), sy(s.y[k])));
      g.stroke();
    }
    g.restore();
  });
}

function ownCurves(host) {
  for (const t of D.curves) {
    const box = document.createElement("div"), title = document.createElement("h3"), legend = document.createElement("div");
    title.textContent = t.title;
    legend.className = "legend soft";
    host.append(box);
    box.append(title);
    const known = t.lines.flatMap(s => s.y).filter(v => v !== null), lo = known.reduce((a, b) => Math.min(a, b), Infinity), hi = greatest(known);
    const c = canvas(box, 210, `${t.title}: ` + t.lines.map(s => { const y = s.y.filter(v => v !== null); return `${s.name} from ${value(y[0])} to ${value(y[y.length - 1])}`; }).join("; ") + ` (${t.ylabel} over ${t.xlabel})`);
    t.lines.forEach((s, j) => {
      const item = document.createElement("span"), mark = document.createElement("i");
      mark.className = "swatch s" + j;
      item.append(mark, s.name);
      legend.append(item);
    });
    box.append(legend);
    still.push(() => {
      const [g, w, h] = fit(c), room = (hi - lo || Math.abs(hi) || 1) * 0.06, left = t.x.reduce((a, b) => Math.min(a, b)), right = greatest(t.x);
      const x = left < right ? [left, right] : [left - 1, right + 1], y = known.length ? [lo - room, hi + room] : [0, 1];
      const [sx, sy] = frame(g, w, h, x, y, t.xlabel, t.ylabel);
      clip(g, w, h);
      g.strokeStyle = theme.axis; g.setLineDash([2, 4]); g.beginPath();
      if (y[0] < 0 && y[1] > 0) { g.moveTo(LEFT, sy(0)); g.lineTo(w, sy(0)); }
      if (x[0] < 0 && x[1] > 0) { g.moveTo(sx(0), 0); g.lineTo(sx(0), h); }
      g.stroke();
      t.lines.forEach((s, j) => {
        g.strokeStyle = theme.slots[j]; g.lineWidth = 1.4; g.setLineDash(DASHES[t.lines.length > 2 ? j % 2 : 0]); g.beginPath();
        let gap = true;
        s.y.forEach((v, k) => { if (v === null) gap = true; else { if (gap) g.moveTo(sx(t.x[k]) - 0.7, sy(v)); g.lineTo(sx(t.x[k]) + (gap ? 0.7 : 0), sy(v)); gap = false; } });
        g.stroke();
      });
      g.restore();
    });
  }
}

// -- the network --------------------------------------------------------------------------------------------------

function graph() {
  const arrows = [...document.querySelectorAll(".graph .arrow")];
  const only = node => { for (const a of arrows) a.classList.toggle("dim", node !== null && a.dataset.a !== node && a.dataset.b !== node); };
  for (const g of document.querySelectorAll(".graph g")) {
    for (const kind of ["pointerenter", "focus", "click"]) g.addEventListener(kind, () => only(g.dataset.node));
    for (const kind of ["pointerleave", "blur"]) g.addEventListener(kind, () => only(null));
  }
}

function legend() {
  for (const b of document.querySelectorAll("[data-of]")) {
    const name = b.dataset.of;
    b.setAttribute("aria-pressed", String(shown(name)));
    b.addEventListener("click", () => { if (!hidden.delete(name)) hidden.add(name); b.setAttribute("aria-pressed", String(shown(name))); paint(true); });
  }
}

const host = name => document.getElementById(name);
restyle();
if (host("raster")) raster(host("raster"));
if (host("rates")) rates(host("rates"));
if (host("traces")) traces(host("traces"));
if (host("weights")) weights(host("weights"));
if (host("curves")) ownCurves(host("curves"));
if (host("intervals")) curves(host("intervals"), D.intervals, "interval (ms)", "density (1/ms)", "Density of the intervals between spikes; the table below has the numbers", true);
if (host("spectra")) curves(host("spectra"), D.spectra, "frequency (Hz)", "power / Poisson", "Power spectrum of the rates; the table below has the numbers", false);
legend();
graph();
for (const b of document.querySelectorAll("[data-do]")) b.addEventListener("click", () => ({ in: () => zoom(0.5), out: () => zoom(2), left: () => shift(-0.5), right: () => shift(0.5), all: () => show(START, END) })[b.dataset.do]());
new ResizeObserver(() => { restyle(); paint(true); }).observe(document.body);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { restyle(); paint(true); });
let opened = [];
addEventListener("beforeprint", () => {  // paper is light, and nothing on it can be opened
  document.documentElement.dataset.print = "";
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const d of opened) d.open = true;
  restyle(); all = true; draw();
});
addEventListener("afterprint", () => {
  delete document.documentElement.dataset.print;
  for (const d of opened) d.open = false;
  restyle(); paint(true);
});
paint(true);
