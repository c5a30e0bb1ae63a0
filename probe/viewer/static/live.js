// A live page: shows the scenes of a session, sends what is asked, and says what is being done.
// `connection` has the words for whom it talks to, and `send`, which is given a message; what comes
// back is given to `hear`.

class Live {
  constructor(root, connection) {
    Object.assign(this, { root, connection });
    this.busy = null;
    this.bar = new AskBar((question) => this.send({ type: "ask", question }));
    root.classList.add("gp");
    root.live = this;
    this.bar.showBusy("");
    this.bar.showProblem("");
  }

  // One message at a time; a page that waits sends no other.
  send(message) {
    if (this.busy) return;
    this.setBusy({ ahead: 0, reading: false, since: Date.now() });
    this.bar.showProblem("");
    this.connection.send(message);
  }

  hear(reply) {
    const since = this.busy ? this.busy.since : Date.now();
    if (reply.type === "waiting") this.setBusy({ ahead: reply.ahead, reading: false, since });
    else if (reply.type === "reading") this.setBusy({ ahead: 0, reading: true, since });
    else if (reply.type === "error") this.fail(reply.message);
    else this.showScene(reply).catch((problem) => this.fail(`The scene cannot be shown (${problem.message}).`));
  }

  async showScene(reply) {
    const { scene, live, undo } = reply;
    if (this.viewer) {
      await openExtras(scene);
      const readings = await openReadings(scene);
      this.replaceScene(scene, readings, live.question);
    } else {
      await mount(this.root, scene);
      this.viewer = this.root.viewer;
      this.panel = new ChangePanel(this.viewer, (message) => this.send(message));
      this.viewer.tokens.element.before(this.bar.element);
      this.root.querySelector(".gp-side").prepend(this.panel.element);
    }
    this.bar.open(live);
    this.panel.open(live, undo);
    this.viewer.guests = [this.panel];
    this.question = live.question;
    this.serial = reply.serial;
    this.setBusy(null);
    this.bar.showProblem("");
  }

  // The page stays as it is: frame, colours, and for the same question token, layers and map.
  replaceScene(scene, readings, question) {
    const { viewer } = this;
    const { state } = viewer;
    const kept = { token: state.token, selection: state.selection, asked: state.asked };
    Object.assign(viewer, { scene });
    Object.assign(state, { scene, readings, after: true });
    viewer.root.querySelector(".gp-head").replaceWith(viewer.buildHead());
    viewer.setTheme(viewer.root.dataset.theme);
    viewer.guests = [];
    viewer.openQuestion(0);
    if (question !== this.question || kept.token >= state.reading.asked) return;
    state.select(kept.selection);
    state.asked = kept.asked;
    viewer.pickToken(kept.token);
    viewer.refresh();
  }

  fail(message) {
    this.setBusy(null);
    this.bar.showProblem(message);
    if (!this.viewer) this.root.replaceChildren(this.bar.problem);
  }

  // A clock runs while somebody waits, so that a page at work does not look like a dead one.
  setBusy(busy) {
    clearInterval(this.clock);
    const focused = document.activeElement;
    this.busy = busy;
    const show = () => {
      const words = busy ? busyWords({ ...busy, seconds: Math.floor((Date.now() - busy.since) / 1000) }, this.connection.whom) : "";
      this.bar.showBusy(words);
      if (!this.viewer && busy) this.root.textContent = words;
    };
    show();
    if (busy) this.clock = setInterval(show, 1000);
    if (this.panel) this.panel.setBusy(Boolean(busy));
    // A control that is switched off loses the focus, and gets it back.
    if (busy) this.focused = this.root.contains(focused) ? focused : this.focused;
    else if (this.focused && document.activeElement === document.body) this.focused.focus();
  }
}
