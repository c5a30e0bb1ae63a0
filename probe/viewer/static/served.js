// The page of `probe serve`: messages go to the server that gave the page.

function serve(root) {
  const address = root.dataset.session; // next to the page, whose own address holds the token
  const live = new Live(root, {
    whom: "server",
    send: (message) => post(address, message, (reply) => live.hear(reply)).catch((problem) => live.hear({ type: "error", message: problem.message })),
  });
  live.send({ type: "open" });
}

serve(document.getElementById("viewer"));

// One message; the replies come as lines of JSON, the last of which is the scene or an error.
async function post(address, message, hear) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(address, { method: "POST", headers, body: JSON.stringify(message) }).catch(() => {
    throw new Error("The server does not answer; is `probe serve` still running?");
  });
  if (!response.ok) throw new Error((await response.text()).trim() || `the server refuses (${response.status})`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pieces = [];
  let last = null;
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) break;
    // A scene comes in many pieces: joined once, when its line ends.
    const lines = value.split("\n");
    for (const piece of lines.slice(0, -1)) {
      last = JSON.parse([...pieces, piece].join(""));
      pieces = [];
      hear(last);
    }
    pieces.push(lines.at(-1));
  }
  if (!last || !["scene", "error"].includes(last.type)) throw new Error("The server stopped before it answered.");
}
