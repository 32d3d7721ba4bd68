// Histogram and table of the objects.

const MOST_ROWS = 200;
const SVG = "http://www.w3.org/2000/svg";

const SHORT = { equivalent_diameter: "diameter" };

// A function from the values of a column to texts of equally many decimals.
export function decimals(column) {
  const numbers = column.values.filter((one) => typeof one === "number"), most = Math.max(...extremes(numbers).map(Math.abs));
  const digits = numbers.every(Number.isInteger) ? 0 : most >= 1000 ? 0 : most >= 5 ? 1 : 2;
  const format = new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return (value) => (typeof value === "number" ? format.format(value) : value === null ? "" : value ? "yes" : "no");
}

export function shown(value) { return decimals({ values: [value] })(value); }

// The name of a column with its unit, which the end of its name or its meaning tells.
export function titled(column) {
  const ends = { _um2: "µm²", _um: "µm" }, units = { "px^2": "px²", px: "px" };
  const end = Object.keys(ends).find((suffix) => column.name.endsWith(suffix)) || "";
  const bare = column.name.slice(0, column.name.length - end.length), text = (SHORT[bare] || bare).replaceAll("_", " ");
  const unit = ends[end] || units[column.meaning.match(/, (px\^2|px)\b/)?.[1]];
  return text.charAt(0).toUpperCase() + text.slice(1) + (unit ? ` (${unit})` : "");
}

export function histogram(figure, column) {
  const values = column.values.filter((value) => typeof value === "number");
  figure.replaceChildren();
  if (values.length < 2) return;
  let [low, high] = extremes(values);
  const step = nice((high - low) / 16 || 1);
  low = Math.floor(low / step) * step;
  high = Math.max(Math.ceil((high + step * 1e-9) / step) * step, low + step);
  const counts = new Array(Math.round((high - low) / step)).fill(0);
  for (const value of values) counts[Math.min(counts.length - 1, Math.floor((value - low) / step))] += 1;
  const most = Math.max(...counts), width = 320, height = 130, left = 30, foot = 18, head = 8;
  const across = (width - left - 8) / counts.length, up = height - foot - head;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  svg.setAttribute("aria-label", `Histogram of ${titled(column)}, ${values.length} objects from ${shown(low)} to ${shown(high)}`);
  counts.forEach((count, place) => {
    const tall = count / most * up;
    const bar = drawn("rect", { x: left + place * across + 0.5, y: head + up - tall, width: Math.max(across - 1, 0.5), height: tall });
    const title = drawn("title", {});
    title.textContent = `${shown(low + place * step)} to ${shown(low + (place + 1) * step)}: ${count}`;
    bar.append(title);
    svg.append(bar);
  });
  svg.append(drawn("line", { x1: left, x2: width - 8, y1: head + up, y2: head + up }));
  const ticks = Math.max(1, Math.ceil(counts.length / 5));
  for (let place = 0; place <= counts.length; place += ticks) {
    svg.append(label(left + place * across, height - 4, "middle", String(Number((low + place * step).toPrecision(6)))));
  }
  svg.append(label(left - 5, head + 8, "end", shown(most)), label(left - 5, head + up, "end", "0"));
  figure.append(svg);
}

export function table(place, columns, order, onPick) {
  const sorted = columns.find((column) => column.name === order.name) || columns[0];
  const rows = sorted.values.map((value, number) => [value, number]);
  const rank = (value) => (value === null ? -Infinity : Number(value));
  rows.sort((one, other) => (rank(one[0]) - rank(other[0])) * (order.down ? -1 : 1) || one[1] - other[1]);
  const made = document.createElement("table"), head = made.createTHead().insertRow();
  for (const column of columns) {
    const cell = document.createElement("th"), button = document.createElement("button");
    button.type = "button";
    button.title = column.meaning;
    button.textContent = titled(column) + (column === sorted ? (order.down ? " ▾" : " ▴") : "");
    button.addEventListener("click", () => {
      const down = order.name === column.name ? !order.down : true;
      table(place, columns, Object.assign(order, { name: column.name, down }), onPick);
    });
    cell.setAttribute("aria-sort", column === sorted ? (order.down ? "descending" : "ascending") : "none");
    cell.classList.toggle("light", column.name.startsWith("mean_")); // the name of a channel may be long
    cell.append(button);
    head.append(cell);
  }
  const body = made.createTBody();
  const texts = columns.map((column) => decimals(column));
  for (const [, number] of rows.slice(0, MOST_ROWS)) {
    const row = body.insertRow();
    row.dataset.number = number;
    columns.forEach((column, first) => {
      const cell = row.insertCell();
      if (first) { cell.textContent = texts[first](column.values[number]); return; }
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.values[number];
      button.title = "Show it in the image";
      button.addEventListener("click", () => onPick(number));
      cell.append(button);
    });
  }
  place.replaceChildren(made);
  return Math.min(rows.length, MOST_ROWS);
}

function extremes(values) {
  return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 2.5, 5, 10].find((part) => part * power >= step * 0.999) * power;
}

function drawn(kind, given) {
  const element = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(given)) element.setAttribute(name, value);
  return element;
}

function label(x, y, anchor, text) {
  const element = drawn("text", { x, y, "text-anchor": anchor });
  element.textContent = text;
  return element;
}
