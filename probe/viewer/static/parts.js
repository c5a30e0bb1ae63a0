// Pieces of the page. Every text is set as text: nothing that a user wrote is ever read as HTML.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name === "on") for (const [kind, react] of Object.entries(value)) element.addEventListener(kind, react);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

let made = 0;
const freshId = (name) => `gp-${name}-${++made}`;

function section(title, ...children) {
  const id = freshId("title");
  return make("section", { class: "gp-section", "aria-labelledby": id }, make("h2", { id, text: title }), ...children);
}

// A few choices, one of which is valid at a time; `pick` is called with its name.
class Choice {
  constructor(label, names, pick) {
    this.element = make("div", { class: "gp-choice", role: "group", "aria-label": label });
    this.buttons = Object.entries(names).map(([name, text]) => {
      const button = make("button", { type: "button", "data-name": name, text, on: { click: () => pick(name) } });
      this.element.append(button);
      return button;
    });
  }

  show(current, able) {
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", button.dataset.name === current);
      button.disabled = !able(button.dataset.name);
    }
  }
}

// A slider between its name and its value; `say` puts a number into words.
class Slider {
  constructor(label, { min, max, step = 1, value = min, name }, say, slide) {
    const id = freshId("slider");
    this.say = say;
    this.input = make("input", {
      type: "range", id, min, max, step, value, "data-name": name,
      on: { input: () => { slide(Number(this.input.value)); } },
    });
    this.output = make("output", { for: id });
    this.element = make("div", { class: "gp-slider" }, make("label", { for: id, text: label }), this.input, this.output);
  }

  show(value, words = this.say(value)) {
    this.input.value = value;
    this.input.setAttribute("aria-valuetext", words);
    this.output.textContent = words;
  }
}

function check(text, checked, sign, toggle) {
  const input = make("input", { type: "checkbox", on: { change: () => toggle(input.checked) } });
  input.checked = checked;
  return make("label", { class: "gp-check" }, input, ...(sign ? [make("span", { class: `gp-sign ${sign}`, "aria-hidden": "true" })] : []), make("span", { text }));
}

const KINDS = { template: "template", word: "your words", stop: "stop", role: "role tokens", thought: "its thought", answer: "its answer" };
const KIND = { template: "template token", word: "word", stop: "end of sentence", role: "role token", thought: "token of its thought", answer: "token of its answer" };

// The tokens of a question as a row of buttons; tokens of one kind are underlined together.
class Tokens {
  constructor(pick) {
    this.pick = pick;
    this.element = make("div", { class: "gp-tokens", role: "radiogroup", "aria-label": "Tokens of the question" });
  }

  build(tokens, chosen) {
    this.chips = [];
    this.chosen = chosen;
    this.texts = tokens.map(({ text }) => text);
    this.labels = tokens.map(({ text, kind }, i) =>
      `${text}, ${KIND[kind]}${chosen.includes(i) ? ", grounding token" : ""}`);
    this.element.replaceChildren(...tokens.map((token, i) => {
      const first = i === 0 || token.kind !== tokens[i - 1].kind;
      const kind = make("span", { class: "gp-kind", text: first ? KINDS[token.kind] : "", "aria-hidden": "true" });
      return make("div", { class: "gp-token", "data-kind": token.kind, "data-first": first || null }, this.chip(token, i), kind);
    }));
  }

  chip({ text, kind }, i) {
    const mark = this.chosen.includes(i) ? [make("span", { class: "gp-diamond", text: "◆", "aria-hidden": "true" })] : [];
    const chip = make("button", { type: "button", class: "gp-chip", role: "radio", "data-kind": kind, "data-token": i, on: { click: () => this.pick(i) } },
      make("span", { class: "gp-text" }, ...mark, make("span", { text })),
      make("span", { class: "gp-bar", "aria-hidden": "true" }, make("span")));
    this.chips[i] = chip;
    return chip;
  }

  // `alone` is false where the map is that of several tokens: then none is the one that is shown.
  show(current, alone) {
    this.chips.forEach((chip, i) => {
      chip.setAttribute("aria-checked", alone && i === current);
      chip.tabIndex = i === current ? 0 : -1;
    });
    this.reveal(this.chips[current]);
  }

  // Many tokens scroll in their box. Only the box moves: the page stays as the reader left it.
  reveal(chip) {
    const [box, one] = [this.element, chip].map((element) => element.getBoundingClientRect());
    if (one.top < box.top) this.element.scrollTop += one.top - box.top - 4;
    else if (one.bottom > box.bottom) this.element.scrollTop += one.bottom - box.bottom + 24;
  }

  // If a token has the focus, the focus goes with the choice.
  follow(current) {
    if (this.element.contains(document.activeElement)) this.chips[current].focus();
  }

  showActivations(activations) {
    const most = Math.max(...activations);
    this.chips.forEach((chip, i) => {
      chip.style.setProperty("--share", most > 0 ? activations[i] / most : 0);
      const words = `visual activation ${formatted(activations[i])}`;
      chip.setAttribute("aria-label", `${this.labels[i]}, ${words}`);
      chip.title = `${quoted(this.texts[i])}, ${KIND[chip.dataset.kind]}; ${words}`;
    });
  }
}
