// Attention as the page holds it: decoded by the same rules as compression.py encodes and checks it.

const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, float32: Float32Array };

async function unpack({ type, data }) {
  const text = atob(data);
  const squeezed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) squeezed[i] = text.charCodeAt(i);
  const stream = new Blob([squeezed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const width = ARRAYS[type].BYTES_PER_ELEMENT;
  const count = planes.length / width;
  const bytes = new Uint8Array(planes.length);
  for (let plane = 0; plane < width; plane++) {
    for (let i = 0; i < count; i++) bytes[i * width + plane] = planes[plane * count + i];
  }
  return new ARRAYS[type](bytes.buffer);
}

async function unpackAll(record, names) {
  const arrays = await Promise.all(names.map((name) => unpack(record[name])));
  return Object.fromEntries(names.map((name, i) => [name, arrays[i]]));
}

// Values from levels of their logarithm; 0 stays 0.
const fromLogs = (codes) => Float32Array.from(codes, (code) => (code ? 2 ** (code / 512 - 112) : 0));

class Reading {
  static async open(record) {
    const kept = ["steps", "codes", "peaks", "masses"];
    const reading = new Reading();
    Object.assign(reading, record);
    reading.depth = record.layers.length;
    reading.cells = record.grid[0] * record.grid[1] * record.grid[2];
    reading.frameCells = record.grid[1] * record.grid[2];
    reading.means = await unpackAll(record.means, ["codes", "peaks"]);
    for (const name of ["layerMaps", "headMaps"]) {
      const maps = await unpackAll(record[name], kept);
      reading[name] = { ...maps, count: record[name].count, peaks: fromLogs(maps.peaks), masses: fromLogs(maps.masses) };
    }
    return reading;
  }

  // A token's map: the mean over the chosen heads of every layer (a list of places for each).
  map(token, chosen) {
    const mean = this.meanMap(token);
    if (chosen.every((heads) => heads.length === this.heads)) return mean;
    const total = new Float64Array(this.cells);
    chosen.forEach((heads, layer) => {
      if (!heads.length) return;
      const index = token * this.depth + layer;
      const parent = decodeStrongest(this.layerMaps, index, mean, new Float64Array(this.cells));
      if (heads.length === this.heads) {
        for (let i = 0; i < total.length; i++) total[i] += parent[i] * heads.length;
      } else {
        for (const head of heads) decodeStrongest(this.headMaps, index * this.heads + head, parent, total);
      }
    });
    const count = counted(chosen);
    return total.map((value) => value / count);
  }

  meanMap(token) {
    const { codes, peaks } = this.means;
    const start = token * this.cells;
    const values = new Float64Array(this.cells);
    for (let i = 0; i < values.length; i++) values[i] = peaks[token] * (codes[start + i] / 65535) ** 2;
    return values;
  }

  headPeak(token, layer, head) {
    return this.headMaps.peaks[(token * this.depth + layer) * this.heads + head];
  }

  headMass(token, layer, head) {
    return this.headMaps.masses[(token * this.depth + layer) * this.heads + head];
  }

  // A token's visual activation: its strongest cell under the chosen layers and heads.
  activation(token, chosen) {
    const values = this.map(token, chosen);
    return values[peakOf(values)];
  }

  // The share of a token's attention that goes to the video at all.
  mass(token, chosen) {
    let sum = 0;
    chosen.forEach((heads, layer) => heads.forEach((head) => { sum += this.headMass(token, layer, head); }));
    return sum / counted(chosen);
  }
}

// The number of heads that are chosen in all layers together.
const counted = (chosen) => chosen.reduce((count, heads) => count + heads.length, 0);

// Layers with a chosen head, and heads that are chosen in any layer.
const chosenLayers = (chosen) => everyPlace(chosen.length).filter((layer) => chosen[layer].length);
const chosenHeads = (chosen) => [...new Set(chosen.flat())].sort((one, other) => one - other);

// Adds one map to `total`: its kept cells as they are, the others in the shape of the parent.
function decodeStrongest({ count, steps, codes, peaks, masses }, index, parent, total) {
  const start = index * count;
  const peak = peaks[index];
  const value = (k) => peak * (codes[start + k] / 255) ** 2;
  let place = 0;
  let lowest = Infinity;
  let left = masses[index];
  let below = 0;
  for (let i = 0; i < parent.length; i++) below += parent[i];
  for (let k = 0; k < count; k++) {
    place += steps[start + k];
    const kept = value(k);
    left -= kept;
    below -= parent[place];
    if (kept < lowest) lowest = kept;
  }
  const share = count < parent.length && below > 0 ? Math.max(left, 0) / below : 0;
  if (share > 0) for (let i = 0; i < parent.length; i++) total[i] += Math.min(share * parent[i], lowest);
  place = 0;
  for (let k = 0; k < count; k++) {
    place += steps[start + k];
    total[place] += value(k) - Math.min(share * parent[place], lowest);
  }
  return total;
}

// The values drawn with no colour and with full colour, as in the videos that overlays.py writes.
function range(values, { cold, hot }) {
  const sorted = Float64Array.from(values).sort();
  const at = (percent) => {
    const place = (percent / 100) * (sorted.length - 1);
    const below = Math.floor(place);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
  };
  const low = at(cold);
  const high = at(hot) > low ? at(hot) : sorted[sorted.length - 1];
  return { low, high, level: (value) => (high > low ? Math.min(Math.max((value - low) / (high - low), 0), 1) : 0) };
}

function peakOf(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

const everyPlace = (count) => Array.from({ length: count }, (_, i) => i);
