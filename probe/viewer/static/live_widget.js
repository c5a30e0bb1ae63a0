// A live page in a cell of a notebook: messages go to the kernel, through anywidget.

export default {
  render({ model, el }) {
    const root = document.createElement("div");
    el.append(root);
    const live = new Live(root, { whom: "kernel", send: (message) => model.send(message) });
    // A scene is a state of the widget, which a notebook saves; the rest is said and gone.
    const show = () => live.hear(JSON.parse(model.get("shown")));
    const hear = (reply) => live.hear(reply);
    model.on("change:shown", show);
    model.on("msg:custom", hear);
    show();
    return () => {
      model.off("change:shown", show);
      model.off("msg:custom", hear);
    };
  },
};
