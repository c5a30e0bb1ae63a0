// The panel of a live page that changes how the question is read: cuts, sliders, and the way back.

const SETTLE = 350; // milliseconds for which a slider has to rest before its value is asked for

class ChangePanel {
  constructor(viewer, send) {
    Object.assign(this, { viewer, send });
    this.from = "token";
    this.inChosen = false;
    this.paint = new Paint(viewer, () => this.show());
    this.element = section("Change it, and ask again", this.buildTarget(), this.buildLook(), this.buildVideo(), this.buildSteer(), this.buildList());
    this.element.classList.add("gp-change");
  }

  // Edges from whom to what.
  buildTarget() {
    this.whom = new Choice("From", { token: "This token", all: "All tokens" }, (name) => {
      this.from = name;
      this.show();
    });
    this.paintButton = make("button", { type: "button", class: "gp-quiet", on: { click: () => this.paint.turn(!this.paint.on) } });
    this.clearButton = make("button", { type: "button", class: "gp-quiet", text: "Clear", on: { click: () => this.paint.clear() } });
    const every = check("in every frame", true, null, (on) => { this.paint.everyFrame = on; });
    every.hidden = this.viewer.state.isPicture;
    this.chosen = check("", false, null, (on) => {
      this.inChosen = on;
      this.show();
    });
    this.target = make("p", { class: "gp-note" });
    return make("div", {}, this.whom.element, make("div", { class: "gp-line gp-paintline" }, this.paintButton, this.clearButton, every), this.chosen, this.target);
  }

  buildLook() {
    this.cut = make("button", { type: "button", class: "gp-do", text: "Cut this look", on: { click: () => this.send({ type: "cut", ...this.edges }) } });
    this.factor = new Slider("Look", { min: -4, max: 4, step: 0.5, value: 0, name: "factor" }, factorWords, (steps) => this.factor.show(steps));
    this.whenSettled(this.factor, () => ({ type: "amplify", factor: 2 ** Number(this.factor.input.value), ...this.edges }));
    return make("div", {}, this.factor.element, this.cut);
  }

  // Edges between cells, while the video itself is read.
  buildVideo() {
    const cut = (frames, text) => make("button", {
      type: "button", class: "gp-quiet", text,
      on: { click: () => this.send({ type: "cut_video", frames, cells: this.paint.places, ...this.layers }) },
    });
    const buttons = this.viewer.state.isPicture ? [cut("all", "Cut between cells")] : [cut("within", "Cut within frames"), cut("across", "Cut across frames")];
    return make("details", {}, make("summary", { text: "While the video is read" }),
      make("p", { class: "gp-note", text: "Cells no longer see one another, or the painted ones are no longer seen. The video is read anew." }),
      make("div", { class: "gp-line" }, ...buttons));
  }

  buildSteer() {
    const id = freshId("steer");
    this.towards = make("input", { type: "text", id, maxlength: 4000, autocomplete: "off", placeholder: "another question" });
    keepKeys(this.towards);
    const depth = this.viewer.state.reading.layers.at(-1);
    this.steerLayer = new Slider("Layer", { min: 0, max: depth, value: Math.ceil(depth / 2), name: "steer-layer" }, String, (layer) => {
      this.steerLayer.show(layer);
      this.showStrength();
    });
    this.steerLayer.show(Math.ceil(depth / 2));
    this.strength = new Slider("Way", { min: -2, max: 2, step: 0.25, value: 0, name: "strength" }, strengthWords, (way) => this.strength.show(way));
    this.whenSettled(this.strength, () => ({ type: "steer", ...this.steering, strength: Number(this.strength.input.value) }));
    this.towards.addEventListener("input", () => this.showStrength());
    return make("details", {}, make("summary", { text: "Steer towards another question" }),
      make("p", { class: "gp-note", text: "The state of the last token before the answer, where it enters the layer, goes towards that of another question: at 100 % it is there." }),
      make("div", { class: "gp-slider gp-towards" }, make("label", { for: id, text: "To" }), this.towards), this.steerLayer.element, this.strength.element);
  }

  // A slider stays free while the model reads: what it is moved to meanwhile is asked for next.
  whenSettled(slider, message) {
    const ask = () => {
      clearTimeout(this.moved);
      this.moved = setTimeout(() => {
        if (this.busy) return ask();
        this.moved = null;
        return this.send(message());
      }, SETTLE);
    };
    slider.input.addEventListener("change", ask);
  }

  buildList() {
    this.list = make("ol", { class: "gp-changes", "aria-label": "Changes" });
    this.undo = make("button", { type: "button", class: "gp-quiet", text: "Undo", on: { click: () => this.send({ type: "undo" }) } });
    return make("div", { class: "gp-versions" }, this.list, this.undo);
  }

  // What the controls say of a message: tokens, cells, layers and heads.
  get edges() {
    const tokens = this.from === "token" ? [this.viewer.state.token] : null;
    return { tokens, cells: this.paint.places, ...this.layers };
  }

  get layers() {
    const { reading, selection, allChosen } = this.viewer.state;
    if (!this.inChosen || allChosen) return { layers: null, heads: null };
    const heads = chosenHeads(selection).map((i) => reading.headNames[i]);
    return { layers: chosenLayers(selection).map((i) => reading.layers[i]), heads: heads.length === reading.heads ? null : heads };
  }

  get steering() {
    return { question: this.towards.value, layer: Number(this.steerLayer.input.value) };
  }

  // A session's scene: what is changed, and whether there is a way back.
  open(live, undo) {
    this.changes = live.changes;
    this.list.replaceChildren(...live.changes.map(({ words }) => make("li", { text: words })));
    this.list.hidden = !live.changes.length;
    this.steps = undo;
    this.show();
  }

  setBusy(busy) {
    this.busy = busy;
    this.show();
  }

  show() {
    const { state } = this.viewer;
    const token = state.reading.tokens[state.token];
    const said = state.token >= state.reading.asked; // tokens of an answer change with what is changed
    this.whom.show(this.from, () => true);
    this.whom.buttons[0].textContent = `This token: ${token.text}`;
    this.paintButton.textContent = this.paint.on ? "Stop painting" : "Paint cells";
    this.paintButton.setAttribute("aria-pressed", this.paint.on);
    this.clearButton.hidden = !this.paint.size;
    this.chosen.querySelector("span").textContent = `only in ${chosenWords(state)}`;
    this.chosen.hidden = state.allChosen;
    const what = this.paint.size ? `${plural(this.paint.size, "painted cell")}` : `the whole ${state.medium}`;
    const wrong = said && this.from === "token";
    this.target.textContent = wrong
      ? "This is a token of the answer, which changes with what is changed: choose one of the question."
      : `The look of ${this.from === "token" ? quoted(token.text) : "all tokens"} at ${what}.`;
    this.factor.input.disabled = wrong;
    this.cut.disabled = this.busy || wrong;
    this.undo.disabled = this.busy || !this.steps;
    for (const button of this.element.querySelectorAll("details button")) button.disabled = this.busy;
    if (!this.busy && !this.moved) this.showSizes();
  }

  // Sliders show how much of this target is changed already.
  showSizes() {
    const found = this.changeOf("amplify", this.edges);
    this.factor.show(found ? Math.log2(found.factor) : 0);
    this.showStrength();
  }

  showStrength() {
    const found = this.changeOf("steer", this.steering);
    this.strength.show(found ? found.strength : 0);
  }

  changeOf(type, target) {
    const same = (message) => message.type === type
      && Object.entries(target).every(([name, value]) => JSON.stringify(message[name]) === JSON.stringify(value));
    return this.changes.map(({ message }) => message).find(same);
  }
}
