// The start of the page: in an HTML file of its own, or in a cell of a notebook.

// True if the page or notebook around is dark.
function darkAround() {
  const { jpThemeLight } = document.body.dataset;
  return jpThemeLight ? jpThemeLight === "false" : matchMedia("(prefers-color-scheme: dark)").matches;
}

async function picture(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

// Open a scene, given as JSON, in an element; `element.viewer` is then the page's object.
function mount(element, text) {
  element.classList.add("gp");
  element.textContent = "Opening the maps …";
  open(element, text).catch((problem) => {
    element.textContent = `The maps cannot be opened (${problem.message}); use a newer browser.`;
    throw problem;
  });
}

async function open(element, text) {
  const scene = JSON.parse(text);
  const answered = new Map();
  for (const question of scene.questions) {
    if (question.answered) answered.set(question, { values: await unpack(question.answered.values), mapFrames: question.answered.mapFrames });
  }
  const readings = await Promise.all(scene.readings.map((record) => Reading.open(record)));
  const images = await Promise.all(scene.video.pictures.map(picture));
  element.viewer = new Viewer(element, scene, readings, images, answered);
}

export default {
  render({ model, el }) {
    const element = document.createElement("div");
    el.append(element);
    mount(element, model.get("scene"));
  },
};
