// The video as a strip of small pictures, with the spans and curves over the same time.

const STRIP = { picture: 72, curve: 46, bar: 14, axis: 20 };

class Timeline {
  constructor(state, pick) {
    this.state = state;
    this.element = make("canvas", { class: "gp-strip", role: "img" });
    const at = (event) => Math.floor((event.offsetX / this.element.clientWidth) * state.count);
    const go = (event) => pick(Math.min(Math.max(at(event), 0), state.count - 1));
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId);
      go(event);
    });
    this.element.addEventListener("pointermove", (event) => event.buttons && go(event));
  }

  draw(moment, theme) {
    const { state } = this;
    const { answer, truth } = state.scene;
    const width = this.element.parentElement.clientWidth;
    const step = width / state.count;
    const zoom = Math.min((step - 2) / state.size[0], STRIP.picture / state.size[1]);
    const [across, down] = state.size.map((side) => side * zoom);
    const spans = [answer && ["answer", answer.span, theme.answer], truth && ["truth", truth.span, theme.ink]].filter(Boolean);
    const axis = { x: 0, y: down + 12 + spans.length * STRIP.bar, width, height: STRIP.curve };
    const context = fitted(this.element, width, axis.y + axis.height + STRIP.axis);
    for (let i = 0; i < state.count; i++) drawMoment(context, moment(i), i * step + (step - across) / 2, 3, across, down);
    this.drawCurves(context, axis, theme);
    spans.forEach((span, i) => this.drawSpan(context, span, down + 9 + i * STRIP.bar, axis, step, theme));
    this.drawNow(context, down, axis, step, theme);
    this.drawTimes(context, axis, step, theme);
    this.element.setAttribute("aria-label", timelineWords(state));
  }

  drawSpan(context, [name, [start, stop], colour], y, axis, step, theme) {
    const [left, right] = [start, stop].map((time) => timePlace(time, this.state.scene.video.edges) * step);
    context.fillStyle = colour;
    if (name === "answer") {
      context.globalAlpha = 0.18;
      context.fillRect(left, axis.y, right - left, axis.height);
      context.globalAlpha = 1;
    }
    context.strokeStyle = colour;
    context.lineWidth = 4;
    context.setLineDash(name === "truth" ? [6, 3] : []);
    context.beginPath();
    line(context, left, y + 5, right, y + 5);
    context.stroke();
    context.setLineDash([]);
    context.fillStyle = theme.ink;
    context.font = "600 11px system-ui, sans-serif";
    const words = `${name} ${start.toFixed(1)}–${stop.toFixed(1)} s`;
    const wide = context.measureText(words).width + 8;
    const x = right + wide < axis.width ? right + 6 : Math.max(0, left - wide + 2);
    context.clearRect(x - 3, y, wide, 11); // a long span leaves no room but on its own line
    context.fillText(words, x, y + 9);
  }

  drawCurves(context, axis, theme) {
    const { peaks } = this.state;
    const scores = pictureScores(this.state.scene);
    context.strokeStyle = theme.line;
    context.lineWidth = 1;
    context.strokeRect(0.5, axis.y + 0.5, axis.width - 1, axis.height - 1);
    const labels = [["┄ strongest cell", theme.muted]];
    drawSteps(context, peaks, Math.max(...peaks) * 1.1, axis, { line: theme.muted, dash: [3, 2] });
    if (scores) {
      drawSteps(context, scores, Math.max(...scores) * 1.1, axis, { line: theme.accent, weight: 2.5 });
      labels.push(["━ frame score", theme.accent]);
    }
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    labels.reduce((right, [text, colour]) => {
      context.fillStyle = colour;
      context.fillText(text, right, axis.y + axis.height + 15);
      return right - context.measureText(text).width - 14;
    }, axis.width - 2);
    context.textAlign = "left";
  }

  drawNow(context, down, axis, step, theme) {
    const left = this.state.frame * step;
    context.strokeStyle = theme.mark;
    context.lineWidth = 2.5;
    context.strokeRect(left + 1.25, 1.25, step - 2.5, down + 3.5);
    context.fillStyle = theme.mark;
    context.fillRect(left + 1, axis.y + axis.height - 3, step - 2, 3);
  }

  drawTimes(context, axis, step, theme) {
    const { times } = this.state.scene.video;
    const every = Math.ceil(56 / step);
    context.fillStyle = theme.muted;
    context.font = "11px system-ui, sans-serif";
    const last = axis.width - (this.state.scene.answer ? 210 : 110);
    times.forEach((time, i) => {
      if (i % every === 0 && i * step < last) context.fillText(`${time.toFixed(1)} s`, i * step + 2, axis.y + axis.height + 15);
    });
  }
}

// The answer's score for each picture; null without an answer.
function pictureScores({ answer, questions }) {
  if (!answer) return null;
  const when = questions.find((question) => question.name === "when") || questions[0];
  return when.mapFrames.map((frame) => answer.scores[frame]);
}

// A time as a place among pictures, whose stretches of time meet at the edges.
function timePlace(time, edges) {
  const after = edges.findIndex((edge) => edge > time);
  if (after < 0) return edges.length - 1;
  if (after === 0) return 0;
  return after - 1 + (time - edges[after - 1]) / (edges[after] - edges[after - 1]);
}
