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

// Open a scene in an element; `element.viewer` is then the page's object.
function mount(element, scene) {
  element.classList.add("gp");
  element.textContent = "Opening the maps …";
  return open(element, scene).catch((problem) => {
    element.textContent = `The maps cannot be opened (${problem.message}); use a newer browser.`;
    throw problem;
  });
}

async function open(element, scene) {
  const answered = new Map();
  for (const question of scene.questions) {
    if (question.answered) answered.set(question, { values: await unpack(question.answered.values), mapFrames: question.answered.mapFrames });
  }
  await openExtras(scene);
  element.viewer = new Viewer(element, scene, await openReadings(scene), await openPictures(scene), answered);
}

const openReadings = ({ readings }) => Promise.all(readings.map((record) => Reading.open(record)));
const openPictures = ({ video }) => Promise.all(video.pictures.map(picture));
