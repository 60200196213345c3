// The beam as a tree: who follows whom, which rank a node has in its step, and why it was given up.

// Everything the screen asks of a node, worked out once. `ranks[i]` counts from 0 within the step, the likeliest first.
export function beamTree(beam) {
  const steps = [];
  const children = beam.nodes.map(() => []);
  beam.nodes.forEach((node, i) => {
    (steps[node.step] ||= []).push(i);
    if (node.parent >= 0) children[node.parent].push(i);
  });
  const ranks = new Array(beam.nodes.length).fill(0);
  const byTotal = (i, j) => beam.nodes[j].total - beam.nodes[i].total || i - j;
  for (let step = 0; step < steps.length; step += 1) {
    steps[step] = (steps[step] || []).sort(byTotal);
    steps[step].forEach((i, rank) => { ranks[i] = rank; });
  }
  children.forEach((list) => list.sort(byTotal));
  return { nodes: beam.nodes, steps, children, ranks, best: new Set(beam.best) };
}

// From the first token to the node itself.
export function pathTo(tree, index) {
  const path = [];
  for (let i = index; i >= 0 && path.length <= tree.nodes.length; i = tree.nodes[i].parent) path.unshift(i);
  return path;
}

// The worst of those that lived on from a step; of finished ones where none went on; -1 where nobody survived.
export function lastSurvivor(tree, step) {
  for (const state of ["kept", "finished"]) {
    const alive = tree.steps[step].filter((i) => tree.nodes[i].state === state);
    if (alive.length) return alive[alive.length - 1];
  }
  return -1;
}

// Steps that are drawn: a window around the chosen one, so that at most `most` nodes are on the page.
export function beamWindow(tree, step, most) {
  let first = step;
  let last = step;
  let drawn = tree.steps[step].length;
  while (first > 0 || last < tree.steps.length - 1) {
    const back = step - first <= last - step;
    const next = (back && first > 0) || last === tree.steps.length - 1 ? first - 1 : last + 1;
    if (drawn + tree.steps[next].length > most) break;
    drawn += tree.steps[next].length;
    if (next < first) first = next;
    else last = next;
  }
  return { first, last };
}

// Where an arrow key leads from a node: left to its parent, right to its best continuation, up and down by rank.
export function beamNeighbour(tree, index, key) {
  const node = tree.nodes[index];
  const row = tree.steps[node.step];
  if (key === "ArrowLeft") return node.parent;
  if (key === "ArrowRight") return tree.children[index][0] ?? -1;
  if (key === "ArrowUp") return row[tree.ranks[index] - 1] ?? -1;
  if (key === "ArrowDown") return row[tree.ranks[index] + 1] ?? -1;
  if (key === "Home") return tree.steps[0][0];
  return -1;
}
