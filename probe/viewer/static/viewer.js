// The page itself: its parts, and the changes that one part makes to the others.

const SMOOTH = 8; // heads whose maps are added without pausing for other work

class Viewer {
  constructor(root, scene, readings, images, answered) {
    Object.assign(this, { root, scene });
    this.state = new State(scene, readings, answered);
    this.look = { opacity: 1, smooth: true, theme: null };
    this.guests = []; // parts of a live page; each is shown again with the rest
    this.stage = new Stage(this.state, images, this.look);
    this.tokens = new Tokens((token) => this.pickToken(token));
    this.maps = new MapPanel(this.state, this.stage, () => this.refresh());
    this.heads = new HeadPanel(this.state, this.look, (layers, heads) => this.select(layers, heads));
    this.build();
    this.setTheme(darkAround() ? "dark" : "light");
    this.openQuestion(0);
    this.stage.goTo(this.state.bestFrame);
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.sizes = new ResizeObserver(() => requestAnimationFrame(() => this.root.isConnected && this.show()));
    this.sizes.observe(this.root);
  }

  build() {
    this.live = make("div", { class: "gp-unseen", "aria-live": "polite" });
    const lens = this.scene.lens ? [new LensPanel(this.state, this.stage).element] : [];
    const side = make("div", { class: "gp-side" }, this.maps.element, ...lens, this.heads.element, ...boxPanel(this.scene, this.stage));
    this.root.replaceChildren(make("div", { class: "gp-body" }, this.buildHead(), this.tokens.element,
      make("div", { class: "gp-columns" }, this.stage.element, side), this.buildFoot(), this.live));
  }

  buildHead() {
    const { title, model, video, questions } = this.scene;
    const facts = [video.name, model && `seen by ${model}`, this.state.isPicture ? "a picture" : `${this.state.count} frames`].filter(Boolean).join("  ·  ");
    this.themeButton = make("button", { type: "button", class: "gp-quiet", on: { click: () => this.turnTheme() } });
    const names = questions.map((question, i) => [i, question.name || this.state.readings[question.reading].question]);
    this.questions = new Choice("Question", Object.fromEntries(names), (name) => this.openQuestion(Number(name)));
    this.questions.element.hidden = questions.length < 2;
    this.question = make("p", { class: "gp-question" });
    this.margin = make("span", { class: "gp-margin", title: "The model’s answer: yes minus no, in logits" });
    const alone = questions.length < 2 && this.state.reading.question === title;
    return make("header", { class: "gp-head", "data-alone": alone || null },
      make("div", { class: "gp-line" }, make("h1", { text: title, title }), this.themeButton),
      make("p", { class: "gp-facts" }, facts, ...(alone ? [this.margin] : [])), ...this.buildDoubts(),
      make("div", { class: "gp-line gp-asked" }, this.questions.element, this.question, ...(alone ? [] : [this.margin])));
  }

  // How clearly the model says that the thing is there, and why the answer may be wrong.
  buildDoubts() {
    const { presence, doubts } = this.scene.answer || { presence: null, doubts: [] };
    if (presence === null && !doubts.length) return [];
    const words = presence === null ? [] : [`presence ${signed(presence)}: yes − no of the whole query, in logits`];
    const list = make("ul", { class: "gp-doubts" }, ...doubts.map((doubt) => make("li", { text: doubt })));
    return [...words.map((text) => make("p", { class: "gp-facts", text })), ...(doubts.length ? [list] : [])];
  }

  buildFoot() {
    this.keptNote = make("p");
    const moving = [["frame", "←", "→"], ["play", "space"]];
    const keys = [["token", "↑", "↓"], ...(this.state.isPicture ? [] : moving)];
    const hint = ([name, ...pressed]) => make("span", { class: "gp-hint" }, ...pressed.map((key) => make("kbd", { text: key })), name);
    return make("footer", { class: "gp-foot" },
      make("p", {}, ...keys.map(hint)),
      make("details", {}, make("summary", { text: "How exact are these maps?" }), this.keptNote));
  }

  openQuestion(number) {
    this.state.openQuestion(number);
    this.heads.open();
    this.tokens.build(this.state.reading.tokens, this.state.current.chosen);
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
    if (!this.state.isOfTokens(this.state.asked)) this.state.pickMode(this.state.usual);
    this.refresh();
  }

  // Arrow keys move frames and tokens, except in a control that has its own use for them.
  key(event) {
    const inside = event.target;
    if (event.altKey || event.ctrlKey || event.metaKey || (inside.tagName === "INPUT" && event.key !== " ")) return;
    const { state, stage } = this;
    const acts = {
      ArrowLeft: () => stage.goTo(state.frame - 1),
      ArrowRight: () => stage.goTo(state.frame + 1),
      ArrowUp: () => this.pickToken(state.token - 1),
      ArrowDown: () => this.pickToken(state.token + 1),
      " ": () => stage.play(!stage.playing),
    };
    const pressable = inside.closest("button:not(.gp-chip), summary, input[type=checkbox]");
    if (!acts[event.key] || (event.key === " " && pressable)) return;
    acts[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }

  setTheme(theme) {
    this.root.dataset.theme = theme;
    this.themeButton.textContent = theme === "dark" ? "Light" : "Dark";
    this.themeButton.setAttribute("aria-label", `Switch to ${theme === "dark" ? "light" : "dark"} colours`);
    // Canvases know no style sheet: they are told its colours.
    const style = getComputedStyle(this.root);
    const names = ["ink", "muted", "line", "accent", "mark", "surface", "answer"];
    this.look.theme = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--gp-${name}`).trim()]));
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
    const { reading, selection } = state;
    const activations = [];
    for (let token = 0; token < reading.tokens.length; token++) {
      if (counted(selection) > SMOOTH) await new Promise((go) => setTimeout(go, 0));
      if (state.selection !== selection || state.reading !== reading) return;
      activations.push(reading.activation(token, selection));
    }
    this.tokens.showActivations(activations);
  }

  show() {
    const { state } = this;
    this.question.textContent = state.reading.question;
    this.margin.textContent = `yes − no  ${signed(state.reading.margin)}`;
    this.questions.show(String(state.questionNumber), () => true);
    this.tokens.show(state.token, state.isOfTokens(state.mode) || (!state.extra && state.current.chosen.length === 1));
    this.maps.show();
    this.heads.show();
    this.keptNote.textContent = keptWords(state);
    this.stage.show();
    this.guests.forEach((guest) => guest.show());
  }
}
