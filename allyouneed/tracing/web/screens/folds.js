// The list of modules that ran as a tree of blocks, with equal neighbours folded into one.
import { spaceSize } from "./parts.js";

// Steps come in order with their depth; a block holds all deeper ones that follow it.
export function flowTree(steps) {
  const roots = [];
  const open = [];
  const first = new Map(steps.filter((step) => !step.name.includes("#")).map((step) => [step.name, step.parameters]));
  steps.forEach((step, index) => {
    // A module that runs again, as name#2, has its parameters counted at its first time.
    const weights = first.get(step.name.replace(/#\d+/g, "")) ?? step.parameters;
    const block = { step, index, children: [], weights };
    while (open.length && open[open.length - 1].step.depth >= step.depth) open.pop();
    (open.length ? open[open.length - 1].children : roots).push(block);
    open.push(block);
  });
  return roots;
}

// Two blocks are equal if one could stand for the other: class, shapes, parameters, and the same within.
export function blockKey(block) {
  const { kind, input, output, letter } = block.step;
  return JSON.stringify([kind, input, output, block.weights, letter, block.children.map(blockKey)]);
}

// Runs of equal blocks, or of equal groups of up to `longest` blocks ("s" then "f", "s" then "f" ...), become one group.
export function folded(blocks, longest = 4) {
  const keys = blocks.map(blockKey);
  const groups = [];
  for (let at = 0; at < blocks.length;) {
    const { width, times } = flowRun(keys, at, longest);
    const all = blocks.slice(at, at + width * times);
    groups.push({ blocks: all.slice(0, width), times, all, shared: all.slice(width).every((block) => block.step.name.includes("#")) });
    at += width * times;
  }
  return groups;
}

// The group at `at` that covers the most blocks, the shortest of equals; a group must come at least twice.
function flowRun(keys, at, longest) {
  let best = { width: 1, times: 1 };
  for (let width = 1; width <= longest; width += 1) {
    let times = 1;
    while (flowSame(keys, at, at + times * width, width)) times += 1;
    if (times > 1 && width * times > best.width * best.times) best = { width, times };
  }
  return best;
}

function flowSame(keys, a, b, width) {
  if (b + width > keys.length) return false;
  for (let i = 0; i < width; i += 1) if (keys[a + i] !== keys[b + i]) return false;
  return true;
}

const WRITERS = ["translation", "language-model", "masked-lm", "algorithm"];

// A letter for each number of a shape, as the library writes shapes: b batch, n and m lengths, d width, h heads, k head
// width, v vocabulary, c y x of pictures; "" where none is known.
export function shapeLetters(manifest) {
  const width = flowWidth(manifest.flow);
  const lengths = [...new Set(Object.values(manifest.spaces).map(spaceSize))];
  const length = (size) => (lengths.includes(size) ? (lengths.indexOf(size) === 0 ? "n" : "m") : "");
  const pictures = manifest.flow[0]?.input.length === 4;
  const words = WRITERS.includes(manifest.model.task) && manifest.flow[0]?.output.length === 3 ? manifest.flow[0].output[2] : -1;
  return (shape) => {
    if (shape.length === 4 && length(shape[2])) return ["b", "h", length(shape[2]), "k"];
    if (shape.length === 4 && pictures) return ["b", "c", "y", "x"];
    if (shape.length === 3) return ["b", length(shape[1]), shape[2] === width ? "d" : shape[2] === words ? "v" : ""];
    return shape.length === 2 ? ["b", length(shape[1])] : shape.map(() => "");
  };
}

function flowWidth(steps) {
  const counts = new Map();
  for (const { output } of steps) {
    if (output.length === 3) counts.set(output[2], (counts.get(output[2]) || 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 0;
}

// The first attention within a block, itself included: where a click on a closed block leads.
export function flowRelation(block) {
  if (block.step.relation) return block.step;
  for (const child of block.children) {
    const found = flowRelation(child);
    if (found) return found;
  }
  return null;
}
