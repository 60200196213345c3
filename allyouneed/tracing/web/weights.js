// Weights of heads: as they were kept, or made from queries and keys for the head or row that somebody looks at.

const MOST = 48e6; // numbers kept in memory of maps that were made here

function dot(a, at, b, bt, width) {
  let sum = 0;
  for (let d = 0; d < width; d++) sum += a[at + d] * b[bt + d];
  return sum;
}

/** softmax of one row in place, among what may be seen; a row that may see nothing is all zero. */
function settle(out, start, columns, seen) {
  let highest = -Infinity, total = 0;
  for (let j = 0; j < columns; j++) if (seen(j) && out[start + j] > highest) highest = out[start + j];
  for (let j = 0; j < columns; j++) {
    const power = seen(j) && Number.isFinite(highest) && !Number.isNaN(out[start + j]) ? Math.exp(out[start + j] - highest) : 0;
    out[start + j] = power;
    total += power;
  }
  for (let j = 0; total > 0 && j < columns; j++) out[start + j] /= total;
}

export class Weights {
  constructor(trace) {
    this.trace = trace;
    this.kept = new Map();
    this.held = 0;
  }
  layer(relation, layer) { return this.trace.manifest.relations[relation].layers[layer]; }
  remember(name, make) {
    if (this.kept.has(name)) return this.kept.get(name);
    const made = make();
    this.kept.set(name, made);
    this.held += made?.length ?? 0;
    for (const [old, value] of this.kept) {
      if (this.held <= MOST || old === name) break;
      this.kept.delete(old);
      this.held -= value?.length ?? 0;
    }
    return made;
  }
  /** Whether numbers were kept, and not a picture only. */
  exact(relation, layer) {
    const { weights, q, k } = this.layer(relation, layer);
    return Boolean(weights || (q && k));
  }
  shape(relation, layer) {
    const where = this.layer(relation, layer), arrays = this.trace.arrays;
    if (where.weights) return arrays.shape(where.weights).slice(1);
    if (where.q && where.k) return [arrays.shape(where.q)[1], arrays.shape(where.k)[1]];
    const { rows, columns } = this.trace.size(relation);
    return [rows, columns];
  }
  seen(relation, layer, head, rows, columns) {
    const where = this.layer(relation, layer), shift = columns - rows;
    const mask = where.visible ? this.trace.array(where.visible) : null;
    const start = mask && mask.shape[0] > 1 ? head * rows * columns : 0;
    return (i, j) => (!where.causal || j <= i + shift) && (!mask || mask.data[start + i * columns + j] > 0);
  }
  visible(relation, layer, head) {
    const where = this.layer(relation, layer);
    if (!where.visible && !where.causal) return null;
    const per = where.visible && this.trace.arrays.shape(where.visible)[0] > 1 && Number.isInteger(head) ? head : 0;
    return this.remember(`seen ${relation} ${layer} ${per}`, () => {
      const [rows, columns] = this.shape(relation, layer), may = this.seen(relation, layer, per, rows, columns);
      const out = new Uint8Array(rows * columns);
      for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) out[i * columns + j] = may(i, j) ? 1 : 0;
      return out;
    });
  }
  /** Rows of a head from queries and keys. */
  made(relation, layer, head, from, to) {
    const where = this.layer(relation, layer), q = this.trace.array(where.q), k = this.trace.array(where.k);
    const rows = q.shape[1], columns = k.shape[1], width = q.shape[2], scale = where.scale ?? 1;
    const atQ = head * rows * width, atK = k.shape[0] > 1 ? head * columns * width : 0;
    const may = this.seen(relation, layer, head, rows, columns), out = new Float32Array((to - from) * columns);
    for (let i = from; i < to; i++) {
      const start = (i - from) * columns;
      for (let j = 0; j < columns; j++) out[start + j] = dot(q.data, atQ + i * width, k.data, atK + j * width, width) * scale;
      settle(out, start, columns, (j) => may(i, j));
    }
    return out;
  }
  one(relation, layer, head, from, to) {
    const where = this.layer(relation, layer);
    if (!where.weights) return this.made(relation, layer, head, from, to);
    const { data, shape } = this.trace.array(where.weights), start = head * shape[1] * shape[2];
    const part = Float32Array.from(data.subarray(start + from * shape[2], start + to * shape[2]), (x) => (Number.isFinite(x) ? x : 0));
    if (!where.visible && !where.causal) return part;
    const may = this.seen(relation, layer, head, shape[1], shape[2]);
    for (let c = 0; c < part.length; c++) if (!may(from + Math.floor(c / shape[2]), c % shape[2])) part[c] = 0;
    return part;
  }
  span(relation, layer, head, from, to) {
    if (!this.exact(relation, layer)) return null;
    if (Number.isInteger(head)) return this.one(relation, layer, head, from, to);
    const heads = this.layer(relation, layer).heads;
    const out = this.one(relation, layer, 0, from, to);
    for (let other = 1; other < heads; other++) {
      const next = this.one(relation, layer, other, from, to);
      for (let i = 0; i < out.length; i++) out[i] = head === "max" ? Math.max(out[i], next[i]) : out[i] + next[i];
    }
    return head === "max" ? out : out.map((x) => x / heads);
  }
  head(relation, layer, head) {
    if (!this.exact(relation, layer)) return null;
    const [rows] = this.shape(relation, layer);
    return this.remember(`head ${relation} ${layer} ${head}`, () => this.span(relation, layer, head, 0, rows));
  }
  row(relation, layer, head, query) {
    const name = `head ${relation} ${layer} ${head}`, [, columns] = this.shape(relation, layer);
    if (this.kept.has(name)) return this.kept.get(name).subarray(query * columns, (query + 1) * columns);
    return this.span(relation, layer, head, query, query + 1);
  }
  all(relation, layer) {
    const [rows, columns] = this.shape(relation, layer), heads = this.layer(relation, layer).heads;
    const data = this.remember(`all ${relation} ${layer}`, () => {
      if (!this.exact(relation, layer)) return null;
      const out = new Float32Array(heads * rows * columns);
      for (let head = 0; head < heads; head++) out.set(this.one(relation, layer, head, 0, rows), head * rows * columns);
      return out;
    });
    return { data, heads, rows, columns };
  }
  /** A map of at most `most` by `most`: the kept small picture, or the largest of each block. */
  small(relation, layer, head, most) {
    const where = this.layer(relation, layer), [rows, columns] = this.shape(relation, layer);
    const name = most > 48 ? where.pooled ?? where.overview : where.overview ?? where.pooled;
    const fits = this.exact(relation, layer) && (rows * columns <= most * most * 4 || !name);
    if (fits || !name || (most > 48 && this.exact(relation, layer) && rows * columns <= 4.2e6)) {
      const whole = this.head(relation, layer, head);
      return whole ? pooled(whole, rows, columns, most) : null;
    }
    return unpacked(this.trace.array(name), head, where.overview_max ?? 1);
  }
}

/** The largest of each block. */
export function pooled(values, rows, columns, most) {
  const y = Math.min(rows, most), x = Math.min(columns, most);
  const exact = y === rows && x === columns;
  if (exact) return { data: values, rows, columns, max: largest(values), exact };
  const data = new Float32Array(y * x).fill(-Infinity);
  for (let i = 0; i < rows; i++) {
    const to = Math.floor((i * y) / rows) * x;
    for (let j = 0; j < columns; j++) {
      const at = to + Math.floor((j * x) / columns), value = values[i * columns + j];
      if (value > data[at]) data[at] = value;
    }
  }
  return { data, rows: y, columns: x, max: largest(data), exact };
}

/** A stored picture back to weights: it holds 255 times the square root of the share of the largest. */
function unpacked({ data, shape }, head, most) {
  const [heads, rows, columns] = shape, size = rows * columns;
  const out = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    const first = Number.isInteger(head) ? data[head * size + i] : 0;
    let value = first * first;
    for (let other = 0; !Number.isInteger(head) && other < heads; other++) {
      const x = data[other * size + i];
      value = head === "max" ? Math.max(value, x * x) : value + (x * x) / heads;
    }
    out[i] = (value / 65025) * most;
  }
  return { data: out, rows, columns, max: largest(out), exact: false };
}

export function largest(values) {
  let most = 0;
  for (let i = 0; i < values.length; i++) if (values[i] > most) most = values[i];
  return most;
}
