// The page itself: its parts, and what moves when something is chosen.

const PLAY = { slowest: 700, fastest: 150 }; // milliseconds a picture
const SMOOTH = 8; // heads whose maps are added without pausing for other work
const TALLEST = 0.46; // of the window's height, for the picture

class Viewer {
  constructor(root, scene, readings, images, answered) {
    Object.assign(this, { root, scene, images });
    this.state = new State(scene, readings, answered);
    this.look = { opacity: 1, smooth: true };
    this.boxes = { tube: true, truth: true, candidates: new Set() };
    this.hovered = null;
    this.build();
    this.listen();
    this.setTheme(darkAround() ? "dark" : "light");
    this.openQuestion(0);
    this.goTo(peakOf(this.state.peaks));
  }

  // Building

  build() {
    const { scene, state } = this;
    this.tokens = new Tokens((token) => this.pickToken(token));
    this.timeline = new Timeline(state, (frame) => this.goTo(frame));
    this.grid = new Grid(state, (layers, heads) => this.select(layers, heads));
    this.picture = make("canvas", { class: "gp-picture", role: "img" });
    this.readout = make("p", { class: "gp-readout" });
    this.live = make("div", { class: "gp-unseen", "aria-live": "polite" });
    this.playButton = make("button", { type: "button", class: "gp-play", on: { click: () => this.play(!this.playing) } });
    this.frameSlider = new Slider("Frame", { min: 0, max: state.count - 1, name: "frame" },
      (i) => `${i + 1} of ${state.count}, ${scene.video.times[i].toFixed(2)} s`, (i) => this.goTo(i));
    const stage = make("div", { class: "gp-stage" },
      make("div", { class: "gp-frame" }, this.picture), this.buildLegend(), this.readout,
      make("div", { class: "gp-transport" }, this.playButton, this.frameSlider.element),
      make("div", { class: "gp-frame" }, this.timeline.element));
    const side = make("div", { class: "gp-side" }, this.buildMap(), this.buildGrid(), ...this.buildBoxes());
    this.root.replaceChildren(this.buildHead(), this.tokens.element,
      make("div", { class: "gp-columns" }, stage, side), this.buildFoot(), this.live);
    this.play(false);
  }

  buildHead() {
    const { title, model, video, questions } = this.scene;
    const facts = [video.name, model && `seen by ${model}`, `${this.state.count} frames`].filter(Boolean).join("  ·  ");
    this.themeButton = make("button", { type: "button", class: "gp-quiet", on: { click: () => this.turnTheme() } });
    const names = questions.map((question, i) => [i, question.name || this.state.readings[question.reading].question]);
    this.questions = new Choice("Question", Object.fromEntries(names), (name) => this.openQuestion(Number(name)));
    this.questions.element.hidden = questions.length < 2;
    this.question = make("p", { class: "gp-question" });
    this.margin = make("span", { class: "gp-margin", title: "The model’s answer: yes minus no, in logits" });
    const alone = questions.length < 2 && this.state.reading.question === title;
    return make("header", { class: "gp-head", "data-alone": alone || null },
      make("div", { class: "gp-line" }, make("h1", { text: title }), this.themeButton),
      make("p", { class: "gp-facts" }, facts, ...(alone ? [this.margin] : [])),
      make("div", { class: "gp-line gp-asked" }, this.questions.element, this.question, ...(alone ? [] : [this.margin])));
  }

  buildLegend() {
    this.bar = make("canvas", { "aria-hidden": "true" });
    this.barLow = make("span");
    this.barHigh = make("span");
    this.barUnit = make("span", { class: "gp-unit" });
    return make("div", { class: "gp-legend" }, this.barLow, this.bar, this.barHigh, this.barUnit);
  }

  buildMap() {
    this.modes = new Choice("Map", { raw: "Raw", relative: "Relative", answered: "As answered" }, (mode) => {
      this.state.pickMode(mode);
      this.show();
    });
    this.modeNote = make("p", { class: "gp-note" });
    const opacity = new Slider("Heat", { min: 0, max: 100, step: 5, name: "heat" }, (share) => `${share} %`, (share) => {
      this.look.opacity = share / 100;
      opacity.show(share);
      this.showFrame();
    });
    opacity.show(100);
    const smooth = check("Smooth between cells", true, null, (on) => {
      this.look.smooth = on;
      this.showFrame();
    });
    return section("Map", this.modes.element, this.modeNote, this.buildVersions(), opacity.element, smooth);
  }

  buildVersions() {
    this.versions = new Choice("Re-attention", { before: "Before re-attention", after: "After" }, (name) => {
      this.state.pickVersion(name);
      this.refresh();
    });
    this.versionNote = make("p", { class: "gp-note" });
    this.versionPart = make("div", { class: "gp-versions" }, this.versions.element, this.versionNote);
    return this.versionPart;
  }

  buildGrid() {
    const pick = (kind, count) => (place) =>
      this.select(...["chosenLayers", "chosenHeads"].map((name) => (name !== kind ? this.state[name] : place < 0 ? everyPlace(count()) : [place])));
    this.layerSlider = new Slider("Layer", { min: -1, max: 0, name: "layer" }, String, pick("chosenLayers", () => this.state.reading.depth));
    this.headSlider = new Slider("Head", { min: -1, max: 0, name: "head" }, String, pick("chosenHeads", () => this.state.reading.heads));
    this.gridNote = make("p", { class: "gp-note" });
    const all = make("button", { type: "button", class: "gp-quiet", text: "All layers, all heads", on: { click: () => this.selectAll() } });
    return section("Layers and heads", make("div", { class: "gp-gridbox" }, this.grid.element, this.gridNote),
      this.layerSlider.element, this.headSlider.element, all);
  }

  buildBoxes() {
    const { answer, truth } = this.scene;
    const toggle = (change) => (on) => {
      change(on);
      this.showFrame();
    };
    const rows = [];
    if (answer) rows.push(check("Answer", true, "gp-sign-answer", toggle((on) => { this.boxes.tube = on; })));
    if (truth) rows.push(check("Truth", true, "gp-sign-truth", toggle((on) => { this.boxes.truth = on; })));
    (answer ? answer.candidates : []).forEach((candidate, i) => {
      const words = [`track ${i + 1}`, candidate.label, `score ${formatted(candidate.score)}`, candidate.chosen && "chosen"];
      rows.push(check(words.filter(Boolean).join("  ·  "), false, "gp-sign-candidate",
        toggle((on) => this.boxes.candidates[on ? "add" : "delete"](i))));
    });
    return rows.length ? [section(answer ? "Boxes and candidate tracks" : "Boxes", make("div", { class: "gp-boxes" }, ...rows))] : [];
  }

  buildFoot() {
    this.keptNote = make("p");
    const hint = ([name, ...keys]) => make("span", { class: "gp-hint" }, ...keys.map((key) => make("kbd", { text: key })), name);
    return make("footer", { class: "gp-foot" },
      make("p", {}, ...[["frame", "←", "→"], ["token", "↑", "↓"], ["play", "space"]].map(hint)),
      make("details", {}, make("summary", { text: "How exact are these maps?" }), this.keptNote));
  }

  listen() {
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.picture.addEventListener("pointermove", (event) => this.hover(event));
    this.picture.addEventListener("pointerleave", () => this.hover(null));
    this.grid.element.addEventListener("focus", () => this.grid.draw(this.theme));
    this.grid.element.addEventListener("blur", () => this.grid.draw(this.theme));
    this.sizes = new ResizeObserver(() => requestAnimationFrame(() => this.root.isConnected && this.show()));
    this.sizes.observe(this.root);
  }

  // Changes

  openQuestion(number) {
    this.state.openQuestion(number);
    const { reading, current } = this.state;
    this.grid.cursor = null;
    this.layerSlider.input.max = reading.depth - 1;
    this.headSlider.input.max = reading.heads - 1;
    this.tokens.build(reading.tokens, current.chosen);
    this.refresh();
  }

  pickToken(token) {
    this.state.pickToken(token);
    this.show();
    this.tokens.follow(this.state.token);
    this.live.textContent = tokenWords(this.state);
  }

  select(layers, heads) {
    this.state.selectProduct(layers, heads);
    if (this.state.asked === "answered") this.state.pickMode(this.state.usual);
    this.refresh();
  }

  selectAll() {
    this.select(everyPlace(this.state.reading.depth), everyPlace(this.state.reading.heads));
  }

  goTo(frame) {
    this.state.frame = (frame + this.state.count) % this.state.count;
    this.showFrame();
  }

  play(on) {
    clearTimeout(this.playing);
    const { edges } = this.scene.video;
    const step = (1000 * (edges.at(-1) - edges[0])) / this.state.count;
    const wait = Math.min(Math.max(step, PLAY.fastest), PLAY.slowest);
    const next = () => {
      if (!this.root.isConnected) return;
      this.goTo(this.state.frame + 1);
      this.playing = setTimeout(next, wait);
    };
    this.playing = on ? setTimeout(next, wait) : null;
    this.playButton.textContent = on ? "❚❚ Pause" : "▶ Play";
    this.playButton.setAttribute("aria-label", on ? "Pause" : "Play");
  }

  // Arrow keys move frames and tokens, except in a control that has its own use for them.
  key(event) {
    const inside = event.target;
    if (event.altKey || event.ctrlKey || event.metaKey || (inside.tagName === "INPUT" && event.key !== " ")) return;
    const { state } = this;
    const acts = {
      ArrowLeft: () => this.goTo(state.frame - 1),
      ArrowRight: () => this.goTo(state.frame + 1),
      ArrowUp: () => this.pickToken(state.token - 1),
      ArrowDown: () => this.pickToken(state.token + 1),
      " ": () => this.play(!this.playing),
    };
    const pressable = inside.closest("button:not(.gp-chip), summary, input[type=checkbox]");
    if (!acts[event.key] || (event.key === " " && pressable)) return;
    acts[event.key]();
    event.preventDefault();
    event.stopPropagation();
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

  // Showing

  setTheme(theme) {
    this.root.dataset.theme = theme;
    this.themeButton.textContent = theme === "dark" ? "Light" : "Dark";
    this.themeButton.setAttribute("aria-label", `Switch to ${theme === "dark" ? "light" : "dark"} colours`);
    const style = getComputedStyle(this.root);
    const names = ["ink", "muted", "line", "accent", "mark", "surface", "answer"];
    this.theme = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--gp-${name}`).trim()]));
  }

  turnTheme() {
    this.setTheme(this.root.dataset.theme === "dark" ? "light" : "dark");
    this.show();
  }

  refresh() {
    this.show();
    this.countActivations();
  }

  // The tokens' activations follow a moment later, one token at a time: dragging stays smooth.
  async countActivations() {
    const { state } = this;
    const selection = state.selection;
    const { reading } = state;
    const activations = [];
    for (let token = 0; token < reading.tokens.length; token++) {
      if (counted(selection) > SMOOTH) await new Promise((go) => setTimeout(go, 0));
      if (state.selection !== selection || state.reading !== reading) return;
      activations.push(state.activation(token));
    }
    this.tokens.showActivations(activations);
  }

  show() {
    const { state } = this;
    this.question.textContent = state.reading.question;
    this.margin.textContent = `yes − no  ${signed(state.reading.margin)}`;
    this.questions.show(String(state.questionNumber), () => true);
    this.tokens.show(state.token);
    this.modes.show(state.mode, (mode) => state.able(mode));
    this.modeNote.textContent = modeWords(state);
    this.showVersions();
    this.showSelection();
    this.showScale();
    this.keptNote.textContent = keptWords(state);
    this.showFrame();
  }

  showVersions() {
    const { state } = this;
    const after = this.scene.questions[state.questionNumber];
    this.modes.buttons.at(-1).hidden = !state.answered.has(after);
    this.versionPart.hidden = !after.before;
    if (!after.before) return;
    this.versions.show(state.after ? "after" : "before", () => true);
    const [early, late] = [after.before, after].map((one) => signed(state.readings[one.reading].margin));
    this.versionNote.textContent = `The latent prompt moved yes − no from ${early} to ${late}.`;
  }

  showSelection() {
    const { reading, chosenLayers, chosenHeads } = this.state;
    const show = (slider, chosen, count, name) => {
      const all = chosen.length === count;
      slider.show(all ? -1 : chosen[0], all ? "all" : chosen.length === 1 ? String(name(chosen[0])) : `${chosen.length} of ${count}`);
    };
    show(this.layerSlider, chosenLayers, reading.depth, (i) => reading.layers[i]);
    show(this.headSlider, chosenHeads, reading.heads, (i) => reading.headNames[i]);
    this.gridNote.textContent = gridWords(this.state);
    this.grid.draw(this.theme);
  }

  showScale() {
    const { scale } = this.state.map;
    this.barLow.textContent = `≤ ${formatted(scale.low)}`;
    this.barHigh.textContent = `≥ ${formatted(scale.high)}`;
    this.barUnit.textContent = { raw: "share of attention", relative: "times the generic prompt’s", answered: "as the answer took it" }[this.state.mode];
    drawColourBar(this.bar, 140, this.scene.scale.colours);
  }

  moment(frame) {
    const { grid: [, rows, columns], region } = this.state.reading;
    const heat = heatPicture(this.state.frameValues(frame), rows, columns, this.state.map.scale, this.scene.scale.colours);
    return { image: this.images[frame], heat, region, size: this.state.size, ...this.look };
  }

  showFrame() {
    this.frameSlider.show(this.state.frame);
    this.showPicture();
    this.timeline.draw((frame) => this.moment(frame), this.theme);
  }

  showPicture() {
    const { state } = this;
    const [across, down] = state.size;
    this.zoom = Math.min(this.picture.parentElement.clientWidth / across, Math.max(300, window.innerHeight * TALLEST) / down);
    const context = fitted(this.picture, across * this.zoom, down * this.zoom);
    drawMoment(context, this.moment(state.frame), 0, 0, across * this.zoom, down * this.zoom);
    this.drawBoxes(context);
    const { grid: [, rows, columns], region } = state.reading;
    const cell = this.hovered
      ? { ...this.hovered, value: state.frameValues(state.frame)[this.hovered.row * columns + this.hovered.column] }
      : state.peakCell(state.frame);
    drawCell(context, region, cell, rows, columns, this.zoom);
    this.readout.textContent = cellWords(state, cell, this.hovered);
    this.picture.setAttribute("aria-label", this.readout.textContent);
  }

  drawBoxes(context) {
    const { answer, truth } = this.scene;
    const draw = ({ boxes }, style) => {
      const box = boxes[this.state.frame];
      if (box) drawBox(context, box, this.zoom, style);
    };
    for (const i of this.boxes.candidates) draw(answer.candidates[i], { colour: "#fff", width: 1.25, dash: [], label: String(i + 1) });
    if (truth && this.boxes.truth) draw(truth, { colour: "#fff", width: 2, dash: [6, 4], label: "truth" });
    if (answer && this.boxes.tube) draw(answer.tube, { colour: "rgb(86,180,233)", width: 2.5, dash: [], label: "answer" });
  }
}
