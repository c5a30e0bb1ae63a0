// The grid of layers and heads: drag, click, or use the arrow keys to choose which are averaged.

class Grid {
  constructor(state, changed) {
    this.state = state;
    this.changed = changed;
    this.anchor = [0, 0];
    this.cursor = null;
    this.element = make("canvas", {
      class: "gp-grid", tabindex: 0, role: "application",
      "aria-label": "Layers down, heads across; arrow keys choose one, shift extends, A chooses all",
    });
    this.element.addEventListener("pointerdown", (event) => this.press(event));
    this.element.addEventListener("pointermove", (event) => this.move(event));
    this.element.addEventListener("pointerleave", () => { this.element.title = ""; });
    this.element.addEventListener("keydown", (event) => this.key(event));
  }

  draw(theme) {
    const { reading, token, selection } = this.state;
    const width = this.element.closest(".gp-gridbox").clientWidth;
    const focused = document.activeElement === this.element ? this.cursor : null;
    drawGrid(this.element, width, reading, token, selection, focused, theme);
    this.cell = gridCell(width, reading.depth, reading.heads);
    // A finger scrolls a grid that is larger than its box, and chooses by touch; else it drags.
    const box = this.element.parentElement;
    const larger = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
    this.element.style.touchAction = larger ? "pan-x pan-y" : "none";
  }

  // Layer and head under the pointer; -1 for a layer's or a head's label.
  under({ offsetX, offsetY }) {
    const { depth, heads } = this.state.reading;
    const place = (offset, margin, count) =>
      (offset < margin ? -1 : Math.min(Math.floor((offset - margin) / this.cell), count - 1));
    return [place(offsetY, MARGIN.top, depth), place(offsetX, MARGIN.left, heads)];
  }

  press(event) {
    const [layer, head] = this.under(event);
    if (!event.shiftKey) this.anchor = [layer, head];
    this.cursor = [Math.max(layer, 0), Math.max(head, 0)];
    this.element.setPointerCapture(event.pointerId);
    this.extend(layer, head);
  }

  move(event) {
    const [layer, head] = this.under(event);
    if (event.buttons) this.extend(layer, head);
    else if (layer >= 0 && head >= 0) {
      const { reading, token } = this.state;
      this.element.title = `${headName(reading, layer, head)}: strongest cell ${formatted(reading.headPeak(token, layer, head))}, ${percent(reading.headMass(token, layer, head))} on the video`;
    }
  }

  // Choose the rectangle from the anchor to here; a label chooses its whole row or column.
  extend(layer, head) {
    const { depth, heads } = this.state.reading;
    const between = (from, to, count) =>
      (from < 0 || to < 0 ? everyPlace(count) : everyPlace(count).slice(Math.min(from, to), Math.max(from, to) + 1));
    this.changed(between(this.anchor[0], layer, depth), between(this.anchor[1], head, heads));
  }

  key(event) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const { depth, heads } = this.state.reading;
    if (event.key === "a" || event.key === "A" || event.key === "Escape") {
      this.changed(everyPlace(depth), everyPlace(heads));
    } else if (step) {
      const from = this.cursor || [0, 0].map((_, i) => -step[i]);
      this.cursor = [[0, depth], [1, heads]].map(([i, count]) => Math.min(Math.max(from[i] + step[i], 0), count - 1));
      if (!event.shiftKey) this.anchor = [...this.cursor];
      this.extend(...this.cursor);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
