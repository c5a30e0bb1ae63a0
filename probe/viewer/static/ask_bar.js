// The bar of a live page: the question to ask next, what was answered, and what went wrong.

class AskBar {
  constructor(ask) {
    const id = freshId("ask");
    this.input = make("input", { type: "text", id, maxlength: 4000, autocomplete: "off", spellcheck: "false" });
    this.button = make("button", { type: "submit", class: "gp-do", text: "Ask" });
    this.form = make("form", {
      class: "gp-ask",
      on: { submit: (event) => { event.preventDefault(); ask(this.input.value); } },
    }, make("label", { for: id, text: "Ask" }), this.input, this.button);
    this.said = make("p", { class: "gp-reply" });
    this.status = make("p", { class: "gp-status", role: "status" });
    this.problem = make("p", { class: "gp-problem", role: "alert" });
    this.element = make("div", { class: "gp-askbar" }, this.form, this.said, this.status, this.problem);
    keepKeys(this.form);
  }

  // Another question is on show; what is being typed is left alone.
  open(live) {
    if (this.asked !== live.question) this.input.value = live.question;
    this.asked = live.question;
    this.said.textContent = answerWords(live);
    this.said.dataset.changed = live.answers[0] !== live.answers[1];
  }

  showBusy(words) {
    this.button.disabled = Boolean(words);
    this.status.textContent = words;
    this.status.hidden = !words;
    this.element.dataset.busy = Boolean(words);
  }

  showProblem(words) {
    this.problem.textContent = words;
    this.problem.hidden = !words;
  }
}

// Keys that are typed here are for nobody else: not for the page, and not for a notebook around it.
function keepKeys(element) {
  element.dataset.lmSuppressShortcuts = "true"; // as JupyterLab wants it said
  element.addEventListener("keydown", (event) => event.stopPropagation());
}
