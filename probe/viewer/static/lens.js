// The words that a cell would say, layer by layer, and further maps that came with the page.

// Unpack what is packed in them, once, when the page opens.
async function openExtras({ maps, lens }) {
  await Promise.all(maps.map(async (one) => { one.values = await unpack(one.values); }));
  if (lens) Object.assign(lens, await unpackAll(lens, ["words", "chances"]));
}

// The words of one cell: for each layer that is kept, its likeliest words with their probabilities.
function wordsOfCell({ layers, top, texts, words, chances }, cell) {
  const count = words.length / (layers.length * top);
  return layers.map((layer, i) => {
    const start = (i * count + cell) * top;
    const said = everyPlace(top).map((k) => ({ text: texts[words[start + k]], chance: (chances[start + k] / 255) ** 2 }));
    return { layer, said };
  });
}

// A table of the words of the cell that was clicked, or of the strongest cell of the frame.
class LensPanel {
  constructor(state, stage) {
    Object.assign(this, { state, stage });
    this.clicked = null;
    this.note = make("p", { class: "gp-note", "aria-live": "polite" });
    this.table = make("table", { class: "gp-lens" });
    this.loose = make("button", { type: "button", class: "gp-quiet", text: "Strongest cell", on: { click: () => this.choose(null) } });
    const { layers, left, top } = state.scene.lens;
    const kept = left ? ` ${layers.length} of ${layers.length + left} layers are kept.` : "";
    const about = make("p", { class: "gp-note", text: `The ${plural(top, "likeliest word")} if the state that enters a layer were the last one (logit lens); no question is asked.${kept}` });
    this.element = section("What does this cell say?", this.note, make("div", { class: "gp-scroll", tabindex: 0, role: "region", "aria-label": "Words by layer" }, this.table), about, this.loose);
    stage.picture.addEventListener("click", ({ offsetX, offsetY }) => {
      const cell = stage.cellAt(offsetX / stage.zoom, offsetY / stage.zoom);
      if (cell) this.choose(cell);
    });
    stage.overlays.push((context) => this.follow(context));
  }

  choose(cell) {
    this.clicked = cell;
    this.stage.showFrame();
  }

  // Drawn with the picture: the outline of the clicked cell, and the words of the cell in this frame.
  follow(context) {
    const { grid: [, rows, columns], region } = this.state.reading;
    if (this.clicked) drawPinned(context, region, this.clicked, rows, columns, this.stage.zoom);
    const { row, column } = this.clicked || this.state.peakCell(this.state.frame);
    const frame = this.state.scene.lens.mapFrames[this.state.frame];
    const cell = (frame * rows + row) * columns + column;
    if (cell === this.shown && this.clicked === this.shownAs) return;
    Object.assign(this, { shown: cell, shownAs: this.clicked });
    this.show({ row, column }, wordsOfCell(this.state.scene.lens, cell));
  }

  show({ row, column }, layers) {
    const which = this.clicked ? "The clicked cell" : "The strongest cell (click another)";
    this.note.textContent = `${which}: row ${row + 1}, column ${column + 1}${this.state.isPicture ? "" : ` of frame ${this.state.frame + 1}`}`;
    this.loose.hidden = !this.clicked;
    this.table.replaceChildren(...layers.map(({ layer, said }) => make("tr", {},
      make("th", { scope: "row", text: String(layer), title: `layer ${layer}` }), ...said.map(saidCell))));
  }
}

// A word in its cell of the table, the likelier the darker.
function saidCell({ text, chance }) {
  const cell = make("td", { title: `${quoted(text)}, probability ${formatted(chance)}` },
    make("span", { class: "gp-said", dir: "auto", text }), make("span", { class: "gp-chance", text: chance.toFixed(2) }));
  cell.style.setProperty("--share", Math.sqrt(chance));
  return cell;
}

// The edge of the clicked cell, drawn through.
function drawPinned(context, [left, top, right, bottom], { row, column }, rows, columns, zoom) {
  const [across, down] = [((right - left) / columns) * zoom, ((bottom - top) / rows) * zoom];
  for (const [stroke, width] of [["rgba(0,0,0,0.9)", 4], ["#fff", 2]]) {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.setLineDash([]);
    context.strokeRect(left * zoom + column * across, top * zoom + row * down, across, down);
  }
}
