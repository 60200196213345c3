// A trace in the page: the manifest, and arrays that are decoded when somebody first needs them.
import { t } from "./words.js";
import { Weights } from "./weights.js";

const KINDS = { float32: Float32Array, float16: Uint16Array, int32: Int32Array, uint8: Uint8Array };
const KNOWN = ("format version title input output model spaces relations positions halting buckets permutations beam " +
  "guesses classes flow notes").split(" ");

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

function widened(halves) {
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) {
    const bits = halves[i], power = (bits >> 10) & 31, rest = bits & 1023;
    const size = power === 0 ? rest * 2 ** -24 : power === 31 ? (rest ? NaN : Infinity) : (1 + rest / 1024) * 2 ** (power - 15);
    out[i] = bits & 32768 ? -size : size;
  }
  return out;
}

function typed(bytes, dtype, shape, name) {
  const Kind = KINDS[dtype];
  if (!Kind) throw new Error(t("The array {name} has a type that this page does not know: {dtype}.", { name, dtype }));
  const count = shape.reduce((a, b) => a * b, 1);
  if (bytes.length !== count * Kind.BYTES_PER_ELEMENT) {
    throw new Error(t("The array {name} is cut short: {have} of {want} bytes. Write the page again.",
      { name, have: bytes.length, want: count * Kind.BYTES_PER_ELEMENT }));
  }
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const data = new Kind(aligned.buffer, aligned.byteOffset, count);
  return { data: dtype === "float16" ? widened(data) : data, shape };
}

/** Arrays that stand in the page as text. */
class PageArrays {
  constructor(which) {
    this.elements = new Map();
    for (const element of document.querySelectorAll("script[data-array]")) {
      if ((element.dataset.trace ?? "0") === which) this.elements.set(element.dataset.array, element);
    }
  }
  names() { return [...this.elements.keys()]; }
  has(name) { return this.elements.has(name); }
  shape(name) { return this.elements.get(name).dataset.shape.split(",").filter((text) => text !== "").map(Number); }
  dtype(name) { return this.elements.get(name).dataset.dtype; }
  text64(name) { return this.elements.get(name).textContent; }
  bytes(name) { return bytesOf(this.text64(name)); }
}

/** Arrays of a safetensors file: eight bytes of length, a header, the data. */
class FileArrays {
  constructor(buffer) {
    const length = Number(new DataView(buffer).getBigUint64(0, true));
    this.header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
    this.text = this.header.__metadata__?.["allyouneed-trace"];
    if (!this.text) throw new Error(t("The answer is not a trace."));
    delete this.header.__metadata__;
    this.data = new Uint8Array(buffer, 8 + length);
  }
  names() { return Object.keys(this.header); }
  has(name) { return name in this.header; }
  shape(name) { return this.header[name].shape; }
  dtype(name) { return { F32: "float32", F16: "float16", I32: "int32", U8: "uint8" }[this.header[name].dtype] ?? this.header[name].dtype; }
  bytes(name) { return this.data.slice(...this.header[name].data_offsets); }
}

export class Trace {
  constructor(text, arrays) {
    this.text = text;
    this.manifest = JSON.parse(text);
    if (this.manifest.format !== "allyouneed-trace") throw new Error(t("The page holds no trace of this library."));
    const empty = { relations: {}, spaces: {}, positions: [], halting: [], buckets: [], permutations: [], beam: null, guesses: [], classes: null, flow: [], notes: [] };
    for (const [name, value] of Object.entries(empty)) this.manifest[name] ??= value;
    this.unknown = Object.keys(this.manifest).filter((name) => !KNOWN.includes(name));
    this.arrays = arrays;
    this.decoded = new Map();
    this.maps = new Weights(this);
  }
  /** An array by name: `{data, shape}`. float16 comes as Float32Array. */
  array(name) {
    if (!this.decoded.has(name)) {
      if (!this.arrays.has(name)) throw new Error(t("The page does not hold the array {name}; it may be cut short.", { name }));
      this.decoded.set(name, typed(this.arrays.bytes(name), this.arrays.dtype(name), this.arrays.shape(name), name));
    }
    return this.decoded.get(name);
  }
  /** Items of a space; a relation's rows and columns are such items. */
  count(space) {
    const where = this.manifest.spaces[space];
    if (!where) return 0;
    return where.kind === "grid" ? (where.prefix ?? 0) + where.rows * where.columns : where.items.length;
  }
  size(relation) {
    const { queries, keys } = this.manifest.relations[relation];
    return { rows: this.count(queries), columns: this.count(keys) };
  }
  /** An item's name as a person reads it: its text, or row and column from 1. */
  label(space, item) {
    const where = this.manifest.spaces[space];
    if (!where || item === null || item === undefined) return "";
    const inside = item - (where.prefix ?? 0);
    if (where.kind === "grid" && inside >= 0) return `(${Math.floor(inside / where.columns) + 1},${(inside % where.columns) + 1})`;
    return where.items?.[item] ?? `[${item + 1}]`;
  }
  /** `{data, heads, rows, columns}` of a layer: masked cells 0, never NaN. */
  weights(relation, layer) { return this.maps.all(relation, layer); }
  /** One head's map (a number, "mean" or "max"): Float32Array of rows x columns, or null where only a pooled map was kept. */
  head(relation, layer, head) { return this.maps.head(relation, layer, head); }
  /** One head's row, made without the rest of the map; null as above. */
  row(relation, layer, head, query) { return this.maps.row(relation, layer, head, query); }
  /** 1 where looking was allowed, rows x columns; null: everywhere. */
  visible(relation, layer, head = 0) { return this.maps.visible(relation, layer, head); }
  /** A small map of a head for thumbnails: `{data, rows, columns, max, exact}`, values as they are drawn. */
  small(relation, layer, head, most = 48) { return this.maps.small(relation, layer, head, most); }
}

/** The trace inside the page: "0", or "1" for the one it is compared with; null if there is none. */
export function traceOfPage(which = "0") {
  const element = document.getElementById(which === "0" ? "manifest" : `manifest-${which}`);
  return element ? new Trace(element.textContent, new PageArrays(which)) : null;
}

/** The trace that a live model sent. */
export function traceOfBytes(buffer) {
  const arrays = new FileArrays(buffer);
  return new Trace(arrays.text, arrays);
}

/** JSON that stands in the page under an id; null if there is none. */
export function jsonOfPage(id) {
  const element = document.getElementById(id);
  return element ? JSON.parse(element.textContent) : null;
}
