// Draws the page of a run. Nothing is fetched; all numbers are in the element "data".
"use strict";
const D = JSON.parse(document.getElementById("data").textContent);
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer;
const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const END = Math.max(D.steps * D.dt, 1e-9);
let view = [0, END];
const linked = [];

function canvas(host, height, label) {
  const c = document.createElement("canvas");
  c.setAttribute("role", "img");
  c.setAttribute("aria-label", label);
  c.style.height = height + "px";
  host.append(c);
  return c;
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

const short = (x, step) => {
  const digits = Math.max(0, Math.min(9, -Math.floor(Math.log10(step) + 1e-9)));
  return Math.abs(x) >= 1e5 || (step < 1e-6) ? x.toExponential(1) : x.toFixed(digits);
};

const LEFT = 62, RIGHT = 22, TOP = 8, BOTTOM = 38;

function frame(g, w, h, x, y, xlabel, ylabel) {  // axes; x and y are [low, high]; returns the two scales
  const sx = v => LEFT + (v - x[0]) / (x[1] - x[0]) * (w - LEFT - RIGHT);
  const sy = v => h - BOTTOM - (v - y[0]) / (y[1] - y[0]) * (h - TOP - BOTTOM);
  g.strokeStyle = style("--line");
  g.fillStyle = style("--soft");
  g.beginPath();
  g.moveTo(LEFT, TOP); g.lineTo(LEFT, h - BOTTOM); g.lineTo(w - RIGHT, h - BOTTOM);
  const [xs, xstep] = ticks(x[0], x[1], (w - LEFT) / 90);
  g.textAlign = "center"; g.textBaseline = "top";
  for (const v of xs) { g.moveTo(sx(v), h - BOTTOM); g.lineTo(sx(v), h - BOTTOM + 4); g.fillText(short(v, xstep), sx(v), h - BOTTOM + 6); }
  if (ylabel !== null) {
    const [ys, ystep] = ticks(y[0], y[1], (h - TOP - BOTTOM) / 32);
    g.textAlign = "right"; g.textBaseline = "middle";
    for (const v of ys) { g.moveTo(LEFT - 4, sy(v)); g.lineTo(LEFT, sy(v)); g.fillText(short(v, ystep), LEFT - 7, sy(v)); }
    g.save(); g.translate(11, TOP + (h - TOP - BOTTOM) / 2); g.rotate(-Math.PI / 2); g.textAlign = "center"; g.fillText(ylabel, 0, 0); g.restore();
  }
  g.stroke();
  g.textAlign = "right"; g.textBaseline = "bottom";
  g.fillText(xlabel, w - RIGHT, h - 1);
  return [sx, sy];
}

function clip(g, w, h) {
  g.save(); g.beginPath(); g.rect(LEFT, TOP - 1, w - LEFT - RIGHT, h - TOP - BOTTOM + 1); g.clip();
}

const timeUnit = () => view[1] - view[0] < 2 ? [1e3, "time (ms)"] : [1, "time (s)"];
const first = (array, value) => { let a = 0, b = array.length; while (a < b) { const m = (a + b) >> 1; if (array[m] < value) a = m + 1; else b = m; } return a; };

// -- panels that share the time -----------------------------------------------------------------------------------

function link(c, draw) {
  linked.push(() => draw(...fit(c)));
  c.tabIndex = 0;
  c.className = "time";
  const pointers = new Map();
  const at = x => view[0] + (x - c.getBoundingClientRect().left - LEFT) / (c.clientWidth - LEFT - RIGHT) * (view[1] - view[0]);
  c.addEventListener("pointerdown", e => { pointers.set(e.pointerId, e.clientX); c.setPointerCapture(e.pointerId); });
  for (const kind of ["pointerup", "pointercancel"]) c.addEventListener(kind, e => pointers.delete(e.pointerId));
  c.addEventListener("pointermove", e => {
    if (!pointers.has(e.pointerId)) return;
    const before = [...pointers.values()];
    pointers.set(e.pointerId, e.clientX);
    const now = [...pointers.values()], span = c.clientWidth - LEFT - RIGHT;
    if (now.length === 1) shift(-(now[0] - before[0]) / span);
    else {
      const wide = Math.abs(before[0] - before[1]), wider = Math.abs(now[0] - now[1]);
      if (wide > 4 && wider > 4) zoom(wide / wider, at((now[0] + now[1]) / 2));
    }
  });
  c.addEventListener("wheel", e => { if (!(e.ctrlKey || e.metaKey)) return; e.preventDefault(); zoom(2 ** (e.deltaY / 200), at(e.clientX)); }, { passive: false });
  c.addEventListener("dblclick", () => show(0, END));
  c.addEventListener("keydown", e => {
    const act = { ArrowLeft: () => shift(-0.2), ArrowRight: () => shift(0.2), "+": () => zoom(0.5), "-": () => zoom(2), "0": () => show(0, END) }[e.key];
    if (act) { e.preventDefault(); act(); }
  });
}

function show(a, b) {
  const least = Math.min(END, 20 * D.dt), wide = Math.min(END, Math.max(least, b - a));
  const start = Math.max(0, Math.min(END - wide, a));
  view = [start, start + wide];
  paint();
}
const shift = part => { const by = part * (view[1] - view[0]); show(view[0] + by, view[1] + by); };
const zoom = (factor, about = (view[0] + view[1]) / 2) => show(about - (about - view[0]) * factor, about + (view[1] - about) * factor);
let waiting = false;
function paint() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; for (const draw of linked) draw(); });
}

function raster(host) {
  const parts = D.raster.map(p => ({ ...p, at: new Uint32Array(bytes(p.at)), row: new Uint32Array(bytes(p.row)), ids: new Uint32Array(bytes(p.ids)) }));
  const rows = parts.reduce((n, p) => n + p.rows, 0), gap = Math.max(1, rows * 0.012), total = rows + gap * Math.max(0, parts.length - 1);
  const height = Math.max(150, Math.min(480, 60 + 2 * rows)), c = canvas(host, height, "Spikes of all populations over time");
  link(c, (g, w, h) => {
    const [f, label] = timeUnit(), [sx, sy] = frame(g, w, h, [view[0] * f, view[1] * f], [total, 0], label, null);
    const high = Math.max(1.6, Math.min(8, (h - TOP - BOTTOM) / total * 0.85)), dot = Math.max(1.4, Math.min(3, (w - LEFT) * D.dt / (view[1] - view[0])));
    let top = 0;
    for (const p of parts) {
      g.fillStyle = style("--soft"); g.textAlign = "right"; g.textBaseline = "middle";
      const middle = sy(top + p.rows / 2);
      if ((h - TOP - BOTTOM) * p.rows / total > 9 || parts.length <= 12) g.fillText(p.name.length > 9 ? p.name.slice(0, 8) + "…" : p.name, LEFT - 6, middle);
      clip(g, w, h);
      g.fillStyle = D.colours[p.name];
      const a = first(p.at, view[0] / D.dt - 1), b = first(p.at, view[1] / D.dt + 1);
      for (let k = a; k < b; k++) g.fillRect(sx(p.at[k] * D.dt * f), sy(top + p.row[k]) - 0, dot, high);
      g.restore();
      top += p.rows + gap;
    }
  });
}

function rates(host) {
  const lines = D.rates.map(r => ({ ...r, values: new Float32Array(bytes(r.values)) }));
  const c = canvas(host, 190, "Rate of each population over time");
  link(c, (g, w, h) => {
    let most = 0;
    for (const r of lines) { const s = r.width * D.dt; for (let k = Math.max(0, Math.floor(view[0] / s)); k < Math.min(r.values.length, view[1] / s); k++) most = Math.max(most, r.values[k]); }
    const [f, label] = timeUnit(), [sx, sy] = frame(g, w, h, [view[0] * f, view[1] * f], [0, most * 1.08 || 1], label, "rate (Hz)");
    clip(g, w, h);
    for (const r of lines) {
      const s = r.width * D.dt;
      g.strokeStyle = D.colours[r.name]; g.lineWidth = 1.2; g.beginPath();
      for (let k = Math.max(0, Math.floor(view[0] / s) - 1); k < Math.min(r.values.length, view[1] / s + 1); k++) { g.lineTo(sx(k * s * f), sy(r.values[k])); g.lineTo(sx((k + 1) * s * f), sy(r.values[k])); }
      g.stroke();
    }
    g.restore();
  });
}

function traces(host) {
  for (const t of D.traces) {
    const at = new Float64Array(bytes(t.at)), values = t.values.map(v => new Float32Array(bytes(v)));
    const title = document.createElement("h3");
    title.textContent = `${t.variable} of ${t.name}`;
    const note = document.createElement("p");
    note.className = "soft note";
    note.textContent = `neuron${t.ids.length > 1 ? "s" : ""} ${t.ids.join(", ")}` + (t.every > 1 ? `; every ${t.every}th sample is drawn` : "");
    host.append(title, note);
    const c = canvas(host, 170, title.textContent + " over time");
    link(c, (g, w, h) => {
      const a = Math.max(0, first(at, view[0]) - 1), b = Math.min(at.length, first(at, view[1]) + 1);
      let lo = Infinity, hi = -Infinity;
      for (const v of values) for (let k = a; k < b; k++) { if (v[k] < lo) lo = v[k]; if (v[k] > hi) hi = v[k]; }
      if (!(lo < Infinity)) { lo = 0; hi = 1; }
      const room = (hi - lo || Math.abs(hi) || 1) * 0.06;
      const [f, label] = timeUnit(), [sx, sy] = frame(g, w, h, [view[0] * f, view[1] * f], [lo - room, hi + room], label, t.unit || t.variable);
      clip(g, w, h);
      values.forEach((v, j) => {
        g.strokeStyle = D.colours[t.name]; g.globalAlpha = 1 - 0.17 * j; g.beginPath();
        for (let k = a; k < b; k++) g.lineTo(sx(at[k] * f), sy(v[k]));
        g.stroke();
      });
      g.restore();
    });
  }
}

// -- panels of their own ------------------------------------------------------------------------------------------

const still = [];
function lines(host, series, xlabel, ylabel, label, bars) {
  const c = canvas(host, 210, label);
  const draw = () => {
    const [g, w, h] = fit(c);
    const xs = series.flatMap(s => s.x), ys = series.flatMap(s => s.y);
    const x = [bars ? 0 : Math.min(...xs), Math.max(...xs)], [sx, sy] = frame(g, w, h, x, [0, Math.max(...ys) * 1.08 || 1], xlabel, ylabel);
    clip(g, w, h);
    for (const s of series) {
      g.strokeStyle = D.colours[s.name]; g.lineWidth = 1.3; g.beginPath();
      s.x.forEach((v, k) => { if (bars) { g.lineTo(sx(v), sy(s.y[k])); g.lineTo(sx(v + s.width), sy(s.y[k])); } else g.lineTo(sx(v), sy(s.y[k])); });
      g.stroke();
    }
    g.restore();
  };
  still.push(draw);
}

function weights(host) {
  for (const t of D.weights) {
    const title = document.createElement("h3");
    title.textContent = `Weights of ${t.name}`;
    host.append(title);
    const c = canvas(host, 200, title.textContent + " over time, as histograms");
    still.push(() => {
      const [g, w, h] = fit(c), span = t.at.length > 1 ? t.at[1] - t.at[0] : t.at[0] || 1;
      const [sx, sy] = frame(g, w, h, [0, Math.max(...t.at)], [t.low, t.high], "time (s)", t.unit ? `weight (${t.unit})` : "weight");
      clip(g, w, h);
      const most = Math.max(...t.counts.flat()), step = (t.high - t.low) / t.counts[0].length;
      g.fillStyle = style("--accent");
      t.counts.forEach((row, k) => row.forEach((n, j) => {
        if (!n) return;
        g.globalAlpha = 0.08 + 0.92 * Math.sqrt(n / most);
        const x0 = sx(k ? t.at[k - 1] : t.at[k] - span), y1 = sy(t.low + (j + 1) * step);
        g.fillRect(x0, y1, sx(t.at[k]) - x0 + 0.6, sy(t.low + j * step) - y1 + 0.6);
      }));
      g.globalAlpha = 1; g.strokeStyle = style("--ink"); g.lineWidth = 1.5; g.beginPath();
      t.at.forEach((v, k) => g.lineTo(sx(v), sy(t.mean[k])));
      g.stroke();
      g.restore();
    });
    const note = document.createElement("p");
    note.className = "soft note";
    note.textContent = `${t.edges.toLocaleString("en")} synapses; the darker, the more; the line is their mean`;
    host.append(note);
  }
}

const host = name => document.getElementById(name);
if (host("raster")) raster(host("raster"));
if (host("rates")) rates(host("rates"));
if (host("traces")) traces(host("traces"));
if (host("intervals")) lines(host("intervals"), D.intervals, "interval (ms)", "share", "Intervals between spikes", true);
if (host("spectra")) lines(host("spectra"), D.spectra, "frequency (Hz)", "power", "Power spectrum of the rates", false);
if (host("weights")) weights(host("weights"));
for (const b of document.querySelectorAll("[data-do]")) b.addEventListener("click", () => ({ in: () => zoom(0.5), out: () => zoom(2), left: () => shift(-0.5), right: () => shift(0.5), all: () => show(0, END) })[b.dataset.do]());
const everything = () => { paint(); for (const draw of still) draw(); };
new ResizeObserver(everything).observe(document.body);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", everything);
everything();
document.documentElement.dataset.drawn = "yes";
