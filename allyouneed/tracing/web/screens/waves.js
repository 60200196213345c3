// What can be computed of a table of position codes: its waves, and how alike two places are.

// The column that goes with column `j` of a sinusoidal table: the one whose square adds up with its own to a constant.
// Layouts differ (side by side; all sines before all cosines; the same for rows and columns), so it is found, not assumed.
export function wavePartner(codes, length, dim, j) {
  const across = (size) => (j % (2 * size) < size ? j + size : j - size);
  const candidates = [1, dim >> 1, dim >> 2].filter((size) => size > 0).map(across).filter((c) => c >= 0 && c < dim);
  let best = { partner: -1, spread: Infinity };
  for (const partner of candidates) {
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < length; i += 1) {
      const sum = codes[i * dim + j] ** 2 + codes[i * dim + partner] ** 2;
      low = Math.min(low, sum);
      high = Math.max(high, sum);
    }
    if (high - low < best.spread) best = { partner, spread: high - low };
  }
  return best.spread < 1e-3 ? best.partner : -1;
}

export function dotOf(codes, dim, a, b) {
  let sum = 0;
  for (let j = 0; j < dim; j += 1) sum += codes[a * dim + j] * codes[b * dim + j];
  return sum;
}

export function cosineOf(codes, dim, a, b) {
  const norm = Math.sqrt(dotOf(codes, dim, a, a) * dotOf(codes, dim, b, b));
  return norm > 0 ? dotOf(codes, dim, a, b) / norm : 0;
}

// For some places, spread evenly, the dot product with every other, by distance.
export function dotCurves(codes, length, dim, most = 16) {
  const anchors = [];
  for (let i = 0; i < Math.min(length, most); i += 1) {
    anchors.push(Math.round((i * (length - 1)) / Math.max(1, Math.min(length, most) - 1)));
  }
  return anchors.map((anchor) => ({
    anchor,
    points: Array.from({ length }, (_, i) => [i - anchor, dotOf(codes, dim, anchor, i)]),
  }));
}

// How far apart the curves are where they meet, as a share of the largest value: 0 if only distance matters.
export function curveSpread(curves) {
  const low = new Map();
  const high = new Map();
  let largest = 0;
  for (const { points } of curves) {
    for (const [distance, value] of points) {
      low.set(distance, Math.min(low.get(distance) ?? Infinity, value));
      high.set(distance, Math.max(high.get(distance) ?? -Infinity, value));
      largest = Math.max(largest, Math.abs(value));
    }
  }
  let spread = 0;
  for (const [distance, value] of high) spread = Math.max(spread, value - low.get(distance));
  return largest > 0 ? spread / largest : 0;
}
