// The choices on the page, and the map that they show. Knows nothing of how it is drawn.

class State {
  constructor(scene, readings, answered) {
    Object.assign(this, { scene, readings, answered });
    this.size = [scene.video.width, scene.video.height];
    this.count = scene.video.times.length;
    this.isPicture = this.count === 1;
    this.medium = this.isPicture ? "picture" : "video";
    this.after = true;
    this.frame = 0;
    this.openQuestion(0);
  }

  // The question that is shown, before or after re-attention.
  get current() {
    const question = this.scene.questions[this.questionNumber];
    return this.after || !question.before ? question : question.before;
  }

  get reading() {
    return this.readings[this.current.reading];
  }

  // The same token of the generic prompt, counted from where the answer begins; null if there is none.
  get counterpart() {
    if (this.current.generic === null) return null;
    const generic = this.readings[this.current.generic];
    const token = this.token - this.reading.asked + generic.asked;
    return token < 0 || token >= generic.tokens.length ? null : { generic, token };
  }

  able(mode) {
    if (mode === "relative") return this.counterpart !== null;
    if (mode === "answered") return this.answered.has(this.current);
    return true;
  }

  // The map that came with the page and is shown, with its name; undefined for maps of tokens.
  get extra() {
    return this.scene.maps[this.mode.slice("map ".length)];
  }

  // The kind of map that is shown: the one asked for, or the next best that there is.
  get mode() {
    return [this.asked, this.usual, "raw"].find((mode) => this.able(mode));
  }

  openQuestion(number) {
    this.questionNumber = number;
    const { chosen, heads } = this.current;
    // The last: the generic prompt, which may be shorter, has a token at that place from the end.
    this.token = chosen.length ? chosen.at(-1) : this.reading.asked - 1;
    this.asked = this.able("answered") ? "answered" : this.usual;
    this.select(heads);
  }

  get usual() {
    return this.current.relative ? "relative" : "raw";
  }

  pickToken(token) {
    this.token = Math.min(Math.max(token, 0), this.reading.tokens.length - 1);
    this.pickMode(this.isOfTokens(this.asked) ? this.asked : this.usual);
  }

  // Raw and relative maps are of the chosen token, layers and heads; the others are whole.
  isOfTokens(mode) {
    return mode === "raw" || mode === "relative";
  }

  pickMode(mode) {
    this.asked = mode;
    this.shown = null;
  }

  pickVersion(name) {
    this.after = name === "after";
    this.shown = null;
  }

  // Choose heads: for every layer a list of places, not all of them empty.
  select(chosen) {
    this.selection = chosen;
    this.shown = null;
  }

  selectProduct(layers, heads) {
    this.select(everyPlace(this.reading.depth).map((layer) => (layers.includes(layer) ? heads : [])));
  }

  get allChosen() {
    return this.selection.every((heads) => heads.length === this.reading.heads);
  }

  // The map that is shown, all its frames in one row, and the range of values that it is drawn in.
  // Kept until another choice: every frame of it is drawn several times.
  get map() {
    if (!this.shown) {
      const values = this.valuesOf(this.mode);
      const whole = this.mode === "answered" ? this.answered.get(this.current) : this.extra;
      const frames = (whole || this.current).mapFrames;
      this.shown = { values, frames, scale: range(values, this.scene.scale) };
    }
    return this.shown;
  }

  valuesOf(mode) {
    if (mode === "answered") return this.answered.get(this.current).values;
    if (this.extra) return this.extra.values;
    const own = this.reading.map(this.token, this.selection);
    if (mode === "raw") return own;
    const { generic, token } = this.counterpart;
    const base = generic.map(token, this.selection);
    return own.map((value, i) => value / (base[i] + this.scene.scale.floor));
  }

  // One frame of the map that is shown.
  frameValues(frame) {
    const { values, frames } = this.map;
    const start = frames[frame] * this.reading.frameCells;
    return values.subarray(start, start + this.reading.frameCells);
  }

  // Row, column and value of the strongest cell of a frame.
  peakCell(frame) {
    const values = this.frameValues(frame);
    const best = peakOf(values);
    const columns = this.reading.grid[2];
    return { row: Math.floor(best / columns), column: best % columns, value: values[best] };
  }

  // The frame with the strongest cell; of an answer, among those that its box is drawn on.
  get bestFrame() {
    const boxes = this.scene.answer ? this.scene.answer.tube.boxes : [];
    const drawn = boxes.some(Boolean) ? boxes.map(Boolean) : this.peaks.map(() => true);
    return peakOf(this.peaks.map((peak, i) => (drawn[i] ? peak : -Infinity)));
  }

  get peaks() {
    return everyPlace(this.count).map((frame) => this.peakCell(frame).value);
  }
}
