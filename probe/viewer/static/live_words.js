// The words of a live page: what is being done, what was answered, what a change would be of.

// Seconds after which a page that hears nothing says who may be the reason.
const SILENCE = 8;

const YES_NO = "yes\u00a0−\u00a0no"; // never on two lines

function busyWords({ ahead, reading, seconds }, whom) {
  const time = seconds >= 2 ? ` ${seconds} s` : "";
  if (reading) return `The model is reading …${time}`;
  if (ahead) return `Waiting: ${plural(ahead, "question")} ${ahead === 1 ? "is" : "are"} before yours …${time}`;
  return seconds < SILENCE ? `Waiting for the ${whom} …${time}` : `Waiting for the ${whom} …${time}. Is it still running, and free?`;
}

// The answer and the margin, and what they were before what was changed.
function answerWords({ answers, written, margins, changes }) {
  const [said, margin] = [answers.map(quoted), margins.map(signed)];
  const which = written ? "The answer" : "The first token of the answer";
  if (!changes.length) return `${which} is ${said[1]}, ${YES_NO} ${margin[1]}.`;
  const same = answers[0] === answers[1];
  return `${which} ${same ? `is still ${said[1]}` : `was ${said[0]} and is now ${said[1]}`}, ${YES_NO} moved from ${margin[0]} to ${margin[1]}.`;
}

const factorWords = (steps) => (steps === 0 ? "as it is" : `× ${formatted(2 ** steps)}`);
const strengthWords = (strength) => (strength === 0 ? "none" : `${Math.round(100 * strength)} %`);

// The layers and heads that are chosen in the grid, for people.
function chosenWords({ reading, selection, allChosen }) {
  if (allChosen) return "all layers and heads";
  const [layers, heads] = [chosenLayers(selection).map((i) => reading.layers[i]), chosenHeads(selection).map((i) => reading.headNames[i])];
  const all = heads.length === reading.heads;
  return `${listed("layer", layers)}${all ? "" : `, ${listed("head", heads)}`}`;
}

function listed(name, numbers) {
  if (numbers.length > 6) return plural(numbers.length, name);
  return `${name}${numbers.length === 1 ? "" : "s"} ${numbers.join(", ")}`;
}
