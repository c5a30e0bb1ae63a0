// The panels next to the stage: which map is shown, of which layers and heads, and which boxes.

// Raw, relative or as answered; before or after re-attention; how the heat is laid over the picture.
class MapPanel {
  constructor(state, stage, changed) {
    this.state = state;
    const named = Object.fromEntries(state.scene.maps.map(({ name }, i) => [`map ${i}`, name]));
    this.modes = new Choice("Map", { raw: "Raw", relative: "Relative", ...named, answered: "As answered" }, (mode) => {
      state.pickMode(mode);
      changed();
    });
    this.versions = new Choice("Before and after", { before: "Before", after: "After" }, (name) => {
      state.pickVersion(name);
      changed();
    });
    this.modeNote = make("p", { class: "gp-note" });
    this.missingNote = make("p", { class: "gp-note gp-missing" });
    this.versionNote = make("p", { class: "gp-note" });
    this.versionPart = make("div", { class: "gp-versions" }, this.versions.element, this.versionNote);
    this.element = section("Map", this.modes.element, this.modeNote, this.missingNote, this.versionPart, ...this.buildLook(stage));
  }

  buildLook(stage) {
    const opacity = new Slider("Heat", { min: 0, max: 100, step: 5, name: "heat" }, (share) => `${share} %`, (share) => {
      stage.look.opacity = share / 100;
      opacity.show(share);
      stage.showFrame();
    });
    opacity.show(100);
    const smooth = check("Smooth between cells", true, null, (on) => {
      stage.look.smooth = on;
      stage.showFrame();
    });
    return [opacity.element, smooth];
  }

  show() {
    const { state } = this;
    this.modes.show(state.mode, (mode) => state.able(mode));
    this.modeNote.textContent = modeWords(state);
    this.missingNote.textContent = state.current.missing;
    this.missingNote.hidden = !state.current.missing;
    const after = state.scene.questions[state.questionNumber];
    this.modes.buttons.at(-1).hidden = !state.answered.has(after);
    this.versionPart.hidden = !after.before;
    if (!after.before) return;
    this.versions.show(state.after ? "after" : "before", () => true);
    const { before, after: changed } = CHANGES[after.change];
    [before, changed].forEach((words, i) => { this.versions.buttons[i].textContent = words; });
    const [early, late] = [after.before, after].map((one) => signed(state.readings[one.reading].margin));
    this.versionNote.textContent = `${CHANGES[after.change].cause} moved yes − no from ${early} to ${late}.`;
  }
}

// The grid of layers and heads, and a slider for each; `select` is called with layers and heads.
class HeadPanel {
  constructor(state, look, select) {
    Object.assign(this, { state, look });
    this.grid = new Grid(state, select);
    const slider = (label, name, pick) => new Slider(label, { min: -1, max: 0, name }, String, (place) => pick(place));
    const placesOf = (place, count) => (place < 0 ? everyPlace(count) : [place]);
    this.layerSlider = slider("Layer", "layer", (place) => select(placesOf(place, state.reading.depth), chosenHeads(state.selection)));
    this.headSlider = slider("Head", "head", (place) => select(chosenLayers(state.selection), placesOf(place, state.reading.heads)));
    this.note = make("p", { class: "gp-note" });
    const all = make("button", {
      type: "button", class: "gp-quiet", text: "All layers, all heads",
      on: { click: () => select(everyPlace(state.reading.depth), everyPlace(state.reading.heads)) },
    });
    this.element = section("Layers and heads", make("div", { class: "gp-gridbox" }, make("div", { class: "gp-scroll" }, this.grid.element), this.note),
      this.layerSlider.element, this.headSlider.element, all);
    this.grid.element.addEventListener("focus", () => this.grid.draw(look.theme));
    this.grid.element.addEventListener("blur", () => this.grid.draw(look.theme));
  }

  // Another reading may have other layers and heads.
  open() {
    const { reading } = this.state;
    this.grid.cursor = null;
    this.layerSlider.input.max = reading.depth - 1;
    this.headSlider.input.max = reading.heads - 1;
  }

  show() {
    const { reading, selection } = this.state;
    const show = (slider, chosen, count, name) => {
      const all = chosen.length === count;
      slider.show(all ? -1 : chosen[0], all ? "all" : chosen.length === 1 ? String(name(chosen[0])) : `${chosen.length} of ${count}`);
    };
    show(this.layerSlider, chosenLayers(selection), reading.depth, (i) => reading.layers[i]);
    show(this.headSlider, chosenHeads(selection), reading.heads, (i) => reading.headNames[i]);
    this.note.textContent = gridWords(this.state);
    this.grid.draw(this.look.theme);
  }
}

// A switch for each box that can be drawn; nothing where there is neither answer nor truth.
function boxPanel({ answer, truth }, stage) {
  const toggle = (change) => (on) => {
    change(on);
    stage.showFrame();
  };
  const rows = [];
  const kind = stage.state.isPicture ? "box" : "track";
  if (answer) rows.push(check("Answer", true, "gp-sign-answer", toggle((on) => { stage.boxes.tube = on; })));
  if (truth) rows.push(check("Truth", true, "gp-sign-truth", toggle((on) => { stage.boxes.truth = on; })));
  (answer ? answer.candidates : []).forEach((candidate, i) => {
    const score = candidate.score === null ? "not asked about" : `score ${formatted(candidate.score)}`;
    const words = [`${kind} ${i + 1}`, candidate.label, score, candidate.chosen && "chosen"];
    rows.push(check(words.filter(Boolean).join("  ·  "), false, "gp-sign-candidate",
      toggle((on) => stage.boxes.candidates[on ? "add" : "delete"](i))));
  });
  if (!rows.length) return [];
  const boxes = make("div", { class: "gp-boxes" }, ...rows);
  if (!answer) return [section("Boxes", boxes)];
  return [section(stage.state.isPicture ? "Boxes" : "Boxes and candidate tracks", boxes, make("p", { class: "gp-note gp-scores", text: answer.scoreWords }))];
}
