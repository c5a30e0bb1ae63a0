// Drawing on canvases: pictures with heat and boxes, the timeline, the grid of layers and heads.

// A canvas made sharp for this screen; gives its context, width and height in CSS pixels.
function fitted(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.textAlign = "left";
  return context;
}

// One frame of a map as a picture, with `fine` pixels along each side of a cell.
function heatPicture(values, rows, columns, scale, colours, fine) {
  const fineMap = document.createElement("canvas");
  fineMap.width = columns * fine;
  fineMap.height = rows * fine;
  const levels = Float32Array.from(values, (value) => scale.level(value));
  const [across, down] = [stepsBetween(columns, fine), stepsBetween(rows, fine)];
  const pixels = new ImageData(fineMap.width, fineMap.height);
  let at = 0;
  const mix = (first, second, share) => (1 - share) * first + share * second;
  for (const [above, below, low] of down) {
    for (const [left, right, far] of across) {
      const top = mix(levels[above * columns + left], levels[above * columns + right], far);
      const bottom = mix(levels[below * columns + left], levels[below * columns + right], far);
      pixels.data.set(colours[Math.round(255 * mix(top, bottom, low))], at);
      at += 4;
    }
  }
  fineMap.getContext("2d").putImageData(pixels, 0, 0);
  return fineMap;
}

// For each pixel along a side: the cells around it, and how far it is from the first to the second.
// Levels are mixed, and not their colours: else a glow would have no dark rim on the way to nothing.
function stepsBetween(cells, fine) {
  return Array.from({ length: cells * fine }, (_, pixel) => {
    const place = Math.min(Math.max((pixel + 0.5) / fine - 0.5, 0), cells - 1);
    const before = Math.floor(place);
    return [before, Math.min(before + 1, cells - 1), place - before];
  });
}

// The picture of one moment with its heat, in a rectangle.
function drawMoment(context, { image, heat, region, size, opacity, smooth }, x, y, width, height) {
  const [across, down] = [width / size[0], height / size[1]];
  context.imageSmoothingEnabled = across < 3;
  context.imageSmoothingQuality = "high";
  context.drawImage(image, x, y, width, height);
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = smooth;
  const [left, top, right, bottom] = region;
  context.drawImage(heat, x + left * across, y + top * down, (right - left) * across, (bottom - top) * down);
  context.restore();
}

// A box with a dark edge, so that it is seen on any picture, and a label at its upper or lower corner.
function drawBox(context, box, zoom, { colour, width, dash, label, below = false }) {
  const [x1, y1, x2, y2] = box.map((edge) => edge * zoom);
  for (const [stroke, thickness] of [["rgba(0,0,0,0.75)", width + 2], [colour, width]]) {
    context.strokeStyle = stroke;
    context.lineWidth = thickness;
    context.setLineDash(dash);
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
  context.setLineDash([]);
  if (!label) return;
  context.font = "600 12px system-ui, sans-serif";
  const across = context.measureText(label).width + 10;
  const room = y2 + 20 <= context.canvas.clientHeight;
  const upper = y1 >= 20 ? y1 - 19 : y2 + 3;
  const at = below ? (room ? y2 + 3 : y2 - 19) : upper;
  context.fillStyle = "rgba(0,0,0,0.75)";
  context.fillRect(x1 - 1, at, across, 17);
  context.fillStyle = colour;
  context.fillText(label, x1 + 4, at + 12.5);
}

// The edge of one cell of the map, dotted.
function drawCell(context, [left, top, right, bottom], { row, column }, rows, columns, zoom) {
  const [across, down] = [(right - left) / columns, (bottom - top) / rows];
  const corner = [(left + column * across) * zoom, (top + row * down) * zoom];
  for (const [stroke, dash] of [["rgba(0,0,0,0.9)", []], ["rgba(255,255,255,0.95)", [3, 3]]]) {
    context.strokeStyle = stroke;
    context.lineWidth = 1.25;
    context.setLineDash(dash);
    context.strokeRect(...corner, across * zoom, down * zoom);
  }
  context.setLineDash([]);
}

// A curve in steps, one for each picture; `top` is the value at the upper edge.
function drawSteps(context, values, top, { x, y, width, height }, { line: edge, fill, dash = [], weight = 1.5 }) {
  const step = width / values.length;
  const level = (value) => y + height - (top > 0 ? value / top : 0) * height;
  context.beginPath();
  values.forEach((value, i) => {
    context.lineTo(x + i * step, level(value));
    context.lineTo(x + (i + 1) * step, level(value));
  });
  context.strokeStyle = edge;
  context.lineWidth = weight;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
  if (!fill) return;
  context.lineTo(x + width, y + height);
  context.lineTo(x, y + height);
  context.fillStyle = fill;
  context.fill();
}

const MARGIN = { left: 34, top: 38 };

const CELL = { least: 9, most: 26 }; // pixels of a side; smaller ones cannot be told apart, or hit

// The largest side that a cell of the grid of layers and heads can have; a grid that is then wider
// or higher than its box scrolls in it.
function gridCell(width, layers, heads) {
  return Math.max(CELL.least, Math.min(CELL.most, Math.floor((width - MARGIN.left - 2) / heads), Math.floor(300 / layers)));
}

// Layers down, heads across; the stronger, the more of the accent colour.
function drawGrid(canvas, width, reading, token, selection, cursor, theme) {
  const [layers, heads] = [reading.depth, reading.heads];
  const cell = gridCell(width, layers, heads);
  const context = fitted(canvas, MARGIN.left + cell * heads + 2, MARGIN.top + cell * layers + 2);
  let strongest = 0;
  for (let i = 0; i < layers; i++) {
    for (let j = 0; j < heads; j++) strongest = Math.max(strongest, reading.headPeak(token, i, j));
  }
  const gap = cell > 8 ? 1 : 0;
  for (let i = 0; i < layers; i++) {
    for (let j = 0; j < heads; j++) {
      const share = strongest > 0 ? reading.headPeak(token, i, j) / strongest : 0;
      const [x, y] = [MARGIN.left + j * cell, MARGIN.top + i * cell];
      context.fillStyle = theme.line;
      context.globalAlpha = 0.55;
      context.fillRect(x, y, cell - gap, cell - gap);
      context.fillStyle = theme.accent;
      context.globalAlpha = Math.sqrt(share);
      context.fillRect(x, y, cell - gap, cell - gap);
    }
  }
  context.globalAlpha = 1;
  drawGridLabels(context, reading, cell, theme);
  outlineSelection(context, selection, cell, gap, layers, heads, theme);
  if (cursor) {
    context.strokeStyle = theme.ink;
    context.lineWidth = 1.5;
    context.strokeRect(MARGIN.left + cursor[1] * cell - 0.5, MARGIN.top + cursor[0] * cell - 0.5, cell + 1 - gap, cell + 1 - gap);
  }
}

function drawGridLabels(context, reading, cell, theme) {
  context.fillStyle = theme.muted;
  context.font = "11px system-ui, sans-serif";
  const every = (count) => [1, 2, 4, 8, 16].find((step) => step * cell >= 16 && count / step <= 16) || 16;
  context.fillText("head", MARGIN.left, 11);
  context.fillText("layer", 0, MARGIN.top - 8);
  context.textAlign = "right";
  context.textBaseline = "middle";
  const [down, across] = [every(reading.depth), every(reading.heads)];
  for (let i = 0; i < reading.depth; i += down) {
    context.fillText(reading.layers[i], MARGIN.left - 6, MARGIN.top + (i + 0.5) * cell);
  }
  context.textAlign = "center";
  for (let j = 0; j < reading.heads; j += across) {
    context.fillText(reading.headNames[j], MARGIN.left + (j + 0.5) * cell, MARGIN.top - 8);
  }
  context.textBaseline = "alphabetic";
}

// Unchosen cells fade; each edge between chosen and unchosen is drawn.
function outlineSelection(context, selection, cell, gap, depth, width, theme) {
  if (counted(selection) === depth * width) return;
  const chosen = (i, j) => Boolean(selection[i]?.includes(j));
  context.fillStyle = theme.surface;
  context.globalAlpha = 0.5;
  for (let i = 0; i < depth; i++) {
    for (let j = 0; j < width; j++) {
      if (!chosen(i, j)) context.fillRect(MARGIN.left + j * cell, MARGIN.top + i * cell, cell, cell);
    }
  }
  context.globalAlpha = 1;
  context.strokeStyle = theme.mark;
  context.lineWidth = 2;
  context.beginPath();
  selection.forEach((heads, i) => {
    for (const j of heads) {
      const [x, y] = [MARGIN.left + j * cell - gap / 2, MARGIN.top + i * cell - gap / 2];
      if (!chosen(i - 1, j)) line(context, x, y, x + cell, y);
      if (!chosen(i + 1, j)) line(context, x, y + cell, x + cell, y + cell);
      if (!chosen(i, j - 1)) line(context, x, y, x, y + cell);
      if (!chosen(i, j + 1)) line(context, x + cell, y, x + cell, y + cell);
    }
  });
  context.stroke();
}

function line(context, x1, y1, x2, y2) {
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
}

// The colours from weakest to strongest, as they look over a grey picture.
function drawColourBar(canvas, width, colours) {
  const context = fitted(canvas, width, 10);
  for (let x = 0; x < width; x++) {
    const [red, green, blue, alpha] = colours[Math.round((255 * x) / (width - 1))];
    context.fillStyle = "#777";
    context.fillRect(x, 0, 1, 10);
    context.fillStyle = `rgba(${red},${green},${blue},${alpha / 255})`;
    context.fillRect(x, 0, 1, 10);
  }
}
