// The stage: the video's pictures with heat and boxes, what moves through time, and the timeline.

const PLAY = { slowest: 700, fastest: 150 }; // milliseconds for each picture
const TALLEST = 0.46; // of the window's height, for the picture
const FINE = 4; // pixels of heat along a side of a cell; the browser smooths between them

class Stage {
  constructor(state, images, look) {
    Object.assign(this, { state, images, look });
    this.boxes = { tube: true, truth: true, candidates: new Set() };
    this.overlays = []; // further things to draw over the picture, given its context
    this.hovered = null;
    this.playing = null;
    this.timeline = new Timeline(state, (frame) => this.goTo(frame));
    this.build();
    this.play(false);
  }

  build() {
    const { times } = this.state.scene.video;
    this.picture = make("canvas", { class: "gp-picture", role: "img" });
    this.picture.addEventListener("pointermove", (event) => this.hover(event));
    this.picture.addEventListener("pointerleave", () => this.hover(null));
    this.readout = make("p", { class: "gp-readout" });
    this.playButton = make("button", { type: "button", class: "gp-play", on: { click: () => this.play(!this.playing) } });
    this.frameSlider = new Slider("Frame", { min: 0, max: this.state.count - 1, name: "frame" },
      (i) => `${i + 1} of ${this.state.count}, ${times[i].toFixed(2)} s`, (i) => this.goTo(i));
    // A picture has no time: nothing to play, and no timeline.
    const moving = this.state.isPicture ? [] : [
      make("div", { class: "gp-transport" }, this.playButton, this.frameSlider.element),
      make("div", { class: "gp-frame" }, this.timeline.element)];
    this.element = make("div", { class: "gp-stage" },
      make("div", { class: "gp-frame" }, this.picture), this.buildLegend(), this.readout, ...moving);
  }

  buildLegend() {
    this.bar = make("canvas", { "aria-hidden": "true" });
    this.barLow = make("span");
    this.barHigh = make("span");
    this.barUnit = make("span", { class: "gp-unit" });
    return make("div", { class: "gp-legend" }, this.barLow, this.bar, this.barHigh, this.barUnit);
  }

  goTo(frame) {
    this.state.frame = (frame + this.state.count) % this.state.count;
    this.showFrame();
  }

  play(asked) {
    const on = asked && !this.state.isPicture;
    clearTimeout(this.playing);
    const { edges } = this.state.scene.video;
    const step = (1000 * (edges.at(-1) - edges[0])) / this.state.count;
    const wait = Math.min(Math.max(step, PLAY.fastest), PLAY.slowest);
    const next = () => {
      // A notebook may have removed the cell in the meantime.
      if (!this.element.isConnected) return;
      this.goTo(this.state.frame + 1);
      this.playing = setTimeout(next, wait);
    };
    this.playing = on ? setTimeout(next, wait) : null;
    this.playButton.textContent = on ? "❚❚ Pause" : "▶ Play";
    this.playButton.setAttribute("aria-label", on ? "Pause" : "Play");
  }

  hover(event) {
    this.hovered = event && this.cellAt(event.offsetX / this.zoom, event.offsetY / this.zoom);
    this.showPicture();
  }

  cellAt(x, y) {
    const { grid: [, rows, columns], region: [left, top, right, bottom] } = this.state.reading;
    const [row, column] = [Math.floor(((y - top) / (bottom - top)) * rows), Math.floor(((x - left) / (right - left)) * columns)];
    return row >= 0 && row < rows && column >= 0 && column < columns ? { row, column } : null;
  }

  // Show another map, or the same one in other colours.
  show() {
    const { scale } = this.state.map;
    this.barLow.textContent = `≤ ${formatted(scale.low)}`;
    this.barHigh.textContent = `≥ ${formatted(scale.high)}`;
    this.barUnit.textContent = { raw: "share of attention", relative: "times the generic prompt’s", answered: "as the answer took it" }[this.state.mode] || this.state.extra.name;
    drawColourBar(this.bar, 140, this.state.scene.scale.colours);
    this.showFrame();
  }

  showFrame() {
    this.frameSlider.show(this.state.frame);
    this.showPicture();
    if (!this.state.isPicture) this.timeline.draw((frame) => this.moment(frame), this.look.theme);
  }

  showPicture() {
    const { state } = this;
    const [across, down] = state.size;
    this.zoom = Math.min(this.picture.parentElement.clientWidth / across, Math.max(300, window.innerHeight * TALLEST) / down);
    const context = fitted(this.picture, across * this.zoom, down * this.zoom);
    drawMoment(context, this.moment(state.frame), 0, 0, across * this.zoom, down * this.zoom);
    this.drawBoxes(context);
    this.overlays.forEach((draw) => draw(context));
    const { grid: [, rows, columns], region } = state.reading;
    const cell = this.hovered
      ? { ...this.hovered, value: state.frameValues(state.frame)[this.hovered.row * columns + this.hovered.column] }
      : state.peakCell(state.frame);
    drawCell(context, region, cell, rows, columns, this.zoom);
    this.readout.textContent = cellWords(state, cell, this.hovered);
    this.picture.setAttribute("aria-label", this.readout.textContent);
  }

  // All that is needed to draw one frame with its heat.
  moment(frame) {
    const { grid: [, rows, columns], region } = this.state.reading;
    const { opacity, smooth } = this.look;
    const { map, scene } = this.state;
    const heat = heatPicture(this.state.frameValues(frame), rows, columns, map.scale, scene.scale.colours, smooth ? FINE : 1);
    return { image: this.images[frame], heat, region, size: this.state.size, opacity, smooth };
  }

  drawBoxes(context) {
    const { answer, truth } = this.state.scene;
    const draw = ({ boxes }, style) => {
      const box = boxes[this.state.frame];
      if (box) drawBox(context, box, this.zoom, style);
    };
    for (const i of this.boxes.candidates) draw(answer.candidates[i], { colour: "#fff", width: 1.25, dash: [], label: String(i + 1) });
    if (answer && this.boxes.tube) draw(answer.tube, { colour: "rgb(86,180,233)", width: 2.5, dash: [], label: "answer" });
    // Over the answer, which is seen between its dashes where both agree.
    if (truth && this.boxes.truth) draw(truth, { colour: "#fff", width: 2, dash: [6, 4], label: "truth", below: true });
  }
}
