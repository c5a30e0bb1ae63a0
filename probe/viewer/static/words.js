// The words of the page about what it shows.

const quoted = (text) => `‘${text}’`;
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
const percent = (share) => `${formatted(Math.round(share * 10000) / 100)}\u00a0%`;

// A number as people read it: three digits, and an exponent only if it is very small.
function formatted(value) {
  if (value === 0) return "0";
  if (value < 0) return `−${formatted(-value)}`;
  if (value >= 100) return value.toFixed(0);
  if (value >= 0.0001) return String(Number(value.toPrecision(3)));
  return value.toExponential(1).replace("e-", " × 10^−").replace(/\^−(\d+)/, (_, digits) => superscript(`−${digits}`)).replace("1.0 ×", "1 ×");
}

const superscript = (digits) => [...digits].map((digit) => (digit === "−" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit])).join("");

// What lies between both readings of a question.
const CHANGES = {
  "re-attention": { before: "Before re-attention", after: "After", cause: "The latent prompt" },
  edits: { before: "Unchanged", after: "Changed", cause: "What was changed" },
};

function modeWords(state) {
  const { tokens } = state.reading;
  const token = quoted(tokens[state.token].text);
  if (state.mode === "answered") {
    const { chosen, use } = state.current;
    const through = chosen.length === tokens.length ? "all tokens" : chosen.map((i) => quoted(tokens[i].text)).join(", ");
    // A map of another source than attention is read through no token; `use` names its rule.
    const source = chosen.length ? `, read through ${through}` : "";
    return `The map of the answer${source}. ${use}`;
  }
  if (state.extra) return `The map ${quoted(state.extra.name)}, which came with the page. It is of no token, layer or head.`;
  if (state.mode === "relative") {
    const { generic, token: other } = state.counterpart;
    return `Attention of ${token} over that of ${quoted(generic.tokens[other].text)} in ${quoted(generic.question)}, the token at the same place from the end of the question.`;
  }
  const missing = state.current.generic !== null && state.counterpart === null;
  const why = missing ? " The generic prompt is shorter: it has no token at this place from the end of the question, so there is no relative map." : "";
  return `The share of its attention that ${token} pays to each cell.${why}`;
}

function gridWords(state) {
  const { reading, token, selection } = state;
  const mass = percent(reading.mass(token, selection));
  const word = quoted(reading.tokens[token].text);
  if (counted(selection) === 1) {
    const [layer, head] = [chosenLayers(selection)[0], chosenHeads(selection)[0]];
    return `${headName(reading, layer, head)}: ${word} spends ${mass} of its attention on the ${state.medium}, ${formatted(reading.headPeak(token, layer, head))} on the strongest cell.`;
  }
  const what = state.allChosen ? "all layers and heads" : `${plural(counted(selection), "head")} in ${plural(chosenLayers(selection).length, "layer")}`;
  return `Mean of ${what}: ${word} spends ${mass} of its attention on the ${state.medium}.`;
}

const headName = (reading, layer, head) => `Layer ${reading.layers[layer]}, head ${reading.headNames[head]}`;
const plural = (count, name) => `${count} ${name}${count === 1 ? "" : "s"}`;

function cellWords(state, { row, column, value }, hovered) {
  const { times, sources } = state.scene.video;
  const unit = { raw: "of its attention", relative: "times the generic prompt’s" }[state.mode] || "";
  const where = `row ${row + 1}, column ${column + 1}`;
  const when = state.isPicture ? "the picture" : `frame ${state.frame + 1} (${times[state.frame].toFixed(2)} s, source frame ${sources[state.frame]})`;
  return `${hovered ? "Under the pointer" : "Strongest cell"} in ${when}: ${where}, ${formatted(value)} ${unit}`.trim();
}

function tokenWords(state) {
  const token = state.reading.tokens[state.token];
  const { row, column } = state.peakCell(state.frame);
  return `${token.text}, ${KIND[token.kind]}; strongest at row ${row + 1}, column ${column + 1}${state.isPicture ? "" : ` of frame ${state.frame + 1}`}`;
}

function timelineWords(state) {
  const { answer, truth, video } = state.scene;
  const best = peakOf(state.peaks);
  const spans = [answer && ["the answer", answer.span], truth && ["the truth", truth.span]].filter(Boolean);
  const said = spans.map(([name, [start, stop]]) => `${name} spans ${start.toFixed(2)} to ${stop.toFixed(2)} seconds`);
  return [`Timeline of ${state.count} frames`, `the map is strongest at ${video.times[best].toFixed(2)} seconds`, ...said].join("; ");
}

function keptWords(state) {
  const { tokens, depth, heads, cells, layerMaps, headMaps, error } = state.reading;
  const share = ({ count }) => (count === cells ? "every cell" : `the ${count} strongest of ${cells} cells`);
  const rest = headMaps.count === cells ? "" : " The other cells of a map have the shape of the map above it (a head’s that of its layer, a layer’s that of the mean), scaled to the attention that was really paid to them.";
  return `${tokens.length} tokens × ${depth} layers × ${heads} heads. The mean over all is kept whole; each layer keeps ${share(layerMaps)}, each head ${share(headMaps)}.${rest} `
    + `Largest error of any cell, in shares of attention: ${formatted(error.mean)} for the mean, ${formatted(error.layer)} for one layer, ${formatted(error.head)} for one head.`;
}
