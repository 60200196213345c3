// Rollout: what reaches an item through all layers, if each layer passes on half of what it had and half of what it saw.
// The twin of allyouneed/tracing/rollout.py: products of the rows of (mean over heads + I) / 2, each summing to one.

// The mean over heads of one layer, n x n, with the identity added and its rows made to sum to one.
export function rolloutStep(weights) {
  const { data, heads, rows, columns } = weights;
  const mixed = new Float32Array(rows * columns);
  for (let head = 0; head < heads; head += 1) {
    const start = head * rows * columns;
    for (let cell = 0; cell < mixed.length; cell += 1) mixed[cell] += data[start + cell] / heads;
  }
  for (let row = 0; row < rows; row += 1) {
    let sum = 1;
    for (let column = 0; column < columns; column += 1) sum += mixed[row * columns + column];
    mixed[row * columns + row] += 1;
    for (let column = 0; column < columns; column += 1) mixed[row * columns + column] /= sum;
  }
  return mixed;
}

// One row of A_L ... A_1: what each input place gave to `item`. Only a vector is carried, never the whole product.
export function rolloutRow(steps, size, item) {
  let row = new Float32Array(size);
  row[item] = 1;
  for (let layer = steps.length - 1; layer >= 0; layer -= 1) {
    const next = new Float32Array(size);
    for (let i = 0; i < size; i += 1) {
      if (row[i] === 0) continue;
      for (let j = 0; j < size; j += 1) next[j] += row[i] * steps[layer][i * size + j];
    }
    row = next;
  }
  return row;
}

// One column of the same: how much of input place `item` each output holds.
export function rolloutColumn(steps, size, item) {
  let column = new Float32Array(size);
  column[item] = 1;
  for (const step of steps) {
    const next = new Float32Array(size);
    for (let i = 0; i < size; i += 1) {
      for (let j = 0; j < size; j += 1) next[i] += step[i * size + j] * column[j];
    }
    column = next;
  }
  return column;
}
