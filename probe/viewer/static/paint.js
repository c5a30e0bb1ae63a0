// Cells of the map, chosen by painting on the picture; from them a part of the video is cut.

const PAINT = { fill: "rgba(213, 94, 0, 0.45)", edge: "#fff" };

class Paint {
  constructor(viewer, changed) {
    Object.assign(this, { viewer, changed });
    this.cells = new Set(); // places in the grid, frame by frame and row by row
    this.everyFrame = true;
    this.on = false;
    const { stage } = viewer;
    stage.overlays.push((context) => this.draw(context));
    // In the capture phase, so that a stroke is not a click for what else listens to the picture.
    for (const kind of ["pointerdown", "pointermove", "pointerup", "click"]) {
      stage.picture.addEventListener(kind, (event) => this.hear(event), true);
    }
  }

  get size() {
    return this.cells.size;
  }

  // In the order that messages have them; null where nothing is painted.
  get places() {
    return this.size ? [...this.cells].sort((one, other) => one - other) : null;
  }

  turn(on) {
    this.on = on;
    this.viewer.stage.picture.classList.toggle("gp-painting", on);
    this.redraw();
  }

  clear() {
    this.cells.clear();
    this.redraw();
  }

  redraw() {
    this.viewer.stage.showPicture();
    this.changed();
  }

  hear(event) {
    if (!this.on) return;
    const { stage } = this.viewer;
    event.stopImmediatePropagation();
    if (event.type === "click") return;
    const cell = stage.cellAt(event.offsetX / stage.zoom, event.offsetY / stage.zoom);
    if (event.type === "pointerdown") {
      stage.picture.setPointerCapture(event.pointerId);
      // A stroke that begins on a painted cell rubs out.
      this.rubbing = cell !== null && this.cells.has(this.placesOf(cell, false)[0]);
    }
    if (event.type === "pointerup" || !event.buttons || !cell) return;
    for (const place of this.placesOf(cell, this.everyFrame)) this.cells[this.rubbing ? "delete" : "add"](place);
    this.redraw();
  }

  // Places of a cell of the picture: in the frame on show, or in every frame.
  placesOf({ row, column }, everywhere) {
    const { reading, current, frame } = this.viewer.state;
    const [frames, rows, columns] = reading.grid;
    const shown = everywhere ? everyPlace(frames) : [current.mapFrames[frame]];
    return shown.map((one) => (one * rows + row) * columns + column);
  }

  draw(context) {
    const { state, stage } = this.viewer;
    const [, rows, columns] = state.reading.grid;
    const [left, top, right, bottom] = state.reading.region.map((edge) => edge * stage.zoom);
    const [across, down] = [(right - left) / columns, (bottom - top) / rows];
    const painted = (row, column) =>
      row >= 0 && row < rows && column >= 0 && column < columns && this.cells.has(this.placesOf({ row, column }, false)[0]);
    context.beginPath();
    context.fillStyle = PAINT.fill;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        if (!painted(row, column)) continue;
        const [x, y] = [left + column * across, top + row * down];
        if (this.on) context.fillRect(x, y, across, down); // else it would hide the heat
        if (!painted(row - 1, column)) line(context, x, y, x + across, y);
        if (!painted(row + 1, column)) line(context, x, y + down, x + across, y + down);
        if (!painted(row, column - 1)) line(context, x, y, x, y + down);
        if (!painted(row, column + 1)) line(context, x + across, y, x + across, y + down);
      }
    }
    context.strokeStyle = PAINT.edge;
    context.lineWidth = 1.5;
    context.stroke();
  }
}
