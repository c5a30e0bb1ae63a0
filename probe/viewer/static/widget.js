// The page in a cell of a notebook, as anywidget mounts it.

export default {
  render({ model, el }) {
    const element = document.createElement("div");
    el.append(element);
    mount(element, JSON.parse(model.get("scene")));
  },
};
