// What hashed attention does with places: who shares a bucket, which chunk a place falls into. No drawing here.

/** One round (of one head, where heads hash apart) of a Reformer layer. */
export function hashRound(trace, buckets, head, round) {
  const numbers = trace.array(buckets.buckets);
  const sorted = trace.array(buckets.order);
  const shape = numbers.shape;
  const [heads, rounds, size] = shape.length === 3 ? shape : [1, ...shape];
  const start = (Math.min(head, heads - 1) * rounds + Math.min(round, rounds - 1)) * size;
  const bucket = numbers.data.subarray(start, start + size);
  const order = sorted.data.subarray(start, start + size);
  const place = new Int32Array(size);
  order.forEach((item, at) => { place[item] = at; });
  return { heads, rounds, size, bucket, order, place, chunk: buckets.chunk };
}

export function bucketMates(lane, item) {
  return [...lane.bucket.keys()].filter((other) => lane.bucket[other] === lane.bucket[item]);
}

/** Items that a place may look at: those of its chunk and of the one before. */
export function chunkMates(lane, item) {
  const at = Math.floor(lane.place[item] / lane.chunk);
  const first = Math.max(0, at - 1) * lane.chunk;
  return [...lane.order.slice(first, (at + 1) * lane.chunk)];
}

/** Where an item is after each of several shuffles. */
export function shuffledPath(shuffles, item) {
  const path = [item];
  for (const targets of shuffles) path.push(targets[path[path.length - 1]]);
  return path;
}
