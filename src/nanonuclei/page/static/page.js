// What the page does: take an image, ask for its objects, show them, and ask again when a setting changes.

import { decimals, histogram, shown, table, titled } from "./figures.js";
import { Viewer } from "./viewer.js";

const ASKED_BY = { "x-asked-by": "nanonuclei" };
const $ = (id) => document.getElementById(id);
const state = { model: null, image: null, view: null, values: {}, found: null, order: { name: "label", down: false } };
const viewer = new Viewer($("canvas"), pointed);
let wanted = null; // what is asked for next, while an answer is awaited
let working = false;

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { ...ASKED_BY, ...options.headers } });
  } catch {
    throw new Error("The page is closed: the program that serves it does not answer. Start it again.");
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({ message: "the page failed; the terminal says why" }));
    throw new Error(told.message.replace(/^[a-z]+ /, (word) => word.charAt(0).toUpperCase() + word.slice(1)));
  }
  return answer;
}

function say(sentence) {
  $("message").textContent = sentence;
  $("message").hidden = !sentence;
}

function element(kind, given = {}, ...children) {
  const made = Object.assign(document.createElement(kind), given);
  made.append(...children);
  return made;
}

async function start() {
  const model = await (await ask("/api/model")).json();
  state.model = model;
  document.title = `Nanonuclei: ${model.many}`;
  const [first, ...warnings] = model.head;
  $("model").replaceChildren(first, ...warnings.map((line) => element("b", { textContent: ` ${line}` })));
  $("limits").querySelector("summary").textContent = `Limits: ${model.limits[0].split(". ")[0].replace(/\.$/, "")}. More`;
  $("limits").querySelector("ul").replaceChildren(...model.limits.map((line) => element("li", { textContent: line })));
  $("examples").replaceChildren(...model.examples.map((name, number) => {
    const picture = element("img", { src: `/api/examples/${number}`, alt: `Example ${name}` });
    const button = element("button", { type: "button", title: name }, picture);
    button.addEventListener("click", () => take(() => ask(`/api/examples/${number}`, { method: "POST" })));
    return button;
  }));
  $("controls").replaceChildren(...model.controls.map(control));
}

async function take(send) {
  say("");
  busy("Reading the image");
  try {
    const image = await (await send()).json();
    if (state.image) forget(state.image.id);
    Object.assign(state, { image, found: null, view: usual(image, image.axes) });
    viewer.outline([], true);
    choices();
    await renew(true);
  } catch (error) {
    dismiss(error.message);
  }
  busy("");
}

// Says why there is no image, and takes away the one before, whose count could be taken for this one's.
function dismiss(sentence) {
  if (state.image) forget(state.image.id);
  Object.assign(state, { image: null, view: null });
  wanted = null;
  viewer.clear();
  for (const id of ["choices", "note"]) $(id).hidden = true;
  emptied();
  $("hello").hidden = false;
  say(sentence);
}

// Takes away the figures of what was looked at before.
function emptied() {
  state.found = null;
  viewer.outline([], true);
  pointed(-1);
  $("results").hidden = true;
  $("status").textContent = "";
  $("canvas").setAttribute("aria-label", "No objects yet");
}

function drop(file) {
  if (!file) return;
  if (file.size > state.model.max_bytes) {
    dismiss(`A file must have at most ${Math.floor(state.model.max_bytes / 2 ** 20)} MiB. Cut the image into parts, or use the command predict.`);
    return;
  }
  take(() => ask("/api/images", {
    method: "POST", body: file,
    headers: { "x-file-name": encodeURIComponent(file.name), "content-type": "application/octet-stream" },
  }));
}

function forget(id) {
  fetch(`/api/images/${id}`, { method: "DELETE", headers: ASKED_BY, keepalive: true }).catch(() => {});
}

function busy(text) {
  $("busy").textContent = text;
  $("busy").hidden = !text;
}

// Asks for the objects, and for the picture if another part of the file is looked at; the latest wish counts.
async function renew(picture = false) {
  wanted = { picture: picture || Boolean(wanted && wanted.picture) };
  if (working) return;
  working = true;
  while (wanted) {
    const { picture: anew } = wanted, { image, view } = state, query = `view=${encodeURIComponent(JSON.stringify(view))}`;
    wanted = null;
    let drawn = !anew;
    const patience = setTimeout(() => busy(`Finding ${state.model.many}`), 250);
    try {
      const body = JSON.stringify({ view, values: state.values });
      const objects = ask(`/api/images/${image.id}/objects`, { method: "POST", body, headers: { "content-type": "application/json" } });
      objects.catch(() => {});
      if (anew) {
        const bitmap = await createImageBitmap(await (await ask(`/api/images/${image.id}/picture?${query}`)).blob());
        const recording = recordings(image, view)[view.scene];
        viewer.show(bitmap, recording.width, recording.height);
        $("hello").hidden = true;
        drawn = true;
      }
      const found = await (await objects).json();
      if (image !== state.image || view !== state.view) continue; // another one is wanted by now
      state.found = found;
      say("");
      results(query);
    } catch (error) {
      if (image !== state.image) continue;
      say(error.message);
      if (!drawn) viewer.clear();
      if (anew) emptied();
    } finally {
      clearTimeout(patience);
      busy("");
    }
  }
  working = false;
}

function results(query) {
  const { found, image, model } = state;
  viewer.outline(found.shapes, found.closed);
  pointed(-1);
  for (const id of ["results", "settings"]) $(id).hidden = false;
  $("count").textContent = found.text;
  $("unlike").textContent = found.unlike;
  $("unlike").hidden = !found.unlike;
  $("canvas").setAttribute("aria-label", `${image.file} with ${found.text}`);
  const measures = Object.entries(found.measures).map(([name, value]) => [name, shown(value)]);
  measures.push(["Image", `${found.width} × ${found.height} px`]);
  if (found.pixel_size) measures.push(["Pixel", `${Number(found.pixel_size.toPrecision(4))} µm`]);
  $("measures").replaceChildren(...measures.flatMap(([name, value]) => [
    element("dt", { textContent: name }), element("dd", { textContent: value }),
  ]));
  const numeric = found.columns.filter((column) => column.name !== "label" && typeof column.values.find((one) => one !== null) !== "boolean");
  const names = numeric.map((column) => column.name);
  $("column").replaceChildren(...numeric.map((column) => element("option", { value: column.name, textContent: titled(column), title: column.meaning })));
  $("column").value = names.includes(state.column) ? state.column : found.size;
  chart();
  const lights = found.columns.filter((column) => column.name.startsWith("mean_")), light = lights[state.view.channel || 0];
  const picked = ["label", ...figures(found)];
  if (light) picked.splice(-1, 0, light.name);
  const columns = picked.map((name) => found.columns.find((column) => column.name === name)).filter(Boolean);
  const rows = table($("table"), columns, state.order, (number) => {
    viewer.pick(number, true);
    pointed(number, ...viewer.extent().map((side) => side / 2));
  });
  $("more").textContent = `${rows < found.count ? `The first ${rows} of ${found.count.toLocaleString("en")} are shown. ` : ""}The downloaded table has ${found.columns.length} columns.`;
  $("status").textContent = [found.choice && `Taken: ${found.choice}.`, `${found.text} in ${found.seconds.toFixed(2)} s`,
    found.network ? "by the network." : "from what the network said before."].filter(Boolean).join(" ");
  const values = encodeURIComponent(JSON.stringify(state.values));
  $("links").replaceChildren(...Object.entries(model.files).map(([kind, text]) => element("a", {
    href: `/api/images/${image.id}/files/${kind}?${query}&values=${values}`, download: "", textContent: text, id: `file-${kind}`,
  })));
}

// The columns that are shown of an object; the downloaded table has all.
function figures(found) {
  return [found.size, ...(found.closed ? [found.pixel_size ? "area_um2" : "area", "circularity"] : ["width", "straightness"]), "score"];
}

function chart() {
  const column = state.found.columns.find((one) => one.name === $("column").value);
  if (column) histogram($("histogram"), column);
}

function pointed(number, x = 0, y = 0) {
  const tip = $("tip"), { found } = state;
  tip.hidden = number < 0 || !found || number >= found.count;
  document.querySelectorAll("tr.picked").forEach((row) => row.classList.remove("picked"));
  if (tip.hidden) return;
  document.querySelector(`tr[data-number="${number}"]`)?.classList.add("picked");
  const lines = figures(found).map((name) => found.columns.find((column) => column.name === name)).filter(Boolean).map((column) => `${titled(column)}  ${decimals(column)(column.values[number])}`);
  tip.textContent = [`${state.model.one.charAt(0).toUpperCase()}${state.model.one.slice(1)} ${number + 1}`, ...lines].join("\n");
  const [width, height] = viewer.extent();
  tip.style.left = `${Math.max(0, Math.min(x + 16, width - tip.offsetWidth - 8))}px`;
  tip.style.top = `${Math.max(0, Math.min(y + 16, height - tip.offsetHeight - 8))}px`;
}

// What a file holds, if it has the axes of a view.
function recordings(image, view) {
  return (image.readings.find((one) => one.value === view.axes) || image).recordings;
}

// What is looked at first of a file, if it has some axes.
function usual(image, axes) {
  return { scene: 0, time: 0, z: "max", axes, channel: recordings(image, { axes })[0].channel };
}

// The parts of the file that can be looked at.
function choices() {
  const { image, view } = state, held = recordings(image, view), recording = held[view.scene];
  const fields = [element("div", { className: "name", textContent: image.file })];
  const field = (text, name, options) => {
    if (options.length < 2) return;
    const select = element("select", { id: `choice-${name}` }, ...options.map((option, number) => element("option", { value: number, textContent: option.text })));
    select.value = options.findIndex((option) => option.value === view[name]);
    select.addEventListener("change", () => {
      state.view = { ...state.view, [name]: options[Number(select.value)].value };
      if (name === "scene") Object.assign(state.view, { time: 0, z: "max", channel: held[state.view.scene].channel });
      if (name === "axes") state.view = usual(image, state.view.axes);
      choices();
      renew(true);
    });
    fields.push(element("label", {}, text, select));
  };
  const numbers = (count, word) => Array.from({ length: count }, (_, number) => ({ value: number, text: `${word} ${number}` }));
  field("Pages are", "axes", image.readings);
  field("Channel", "channel", recording.channels);
  if (recording.planes > 1) {
    field("Focal planes", "z", [{ value: "max", text: "Maximum" }, { value: "mean", text: "Mean" }, ...numbers(recording.planes, "Plane")]);
  }
  field("Time", "time", numbers(recording.times, "Time"));
  field("Recording", "scene", numbers(held.length, "Recording"));
  $("choices").replaceChildren(...fields);
  $("choices").hidden = false;
  const pages = image.readings.find((one) => one.value === view.axes);
  const unsaid = pages ? `The file does not say what its pages are. They are taken for ${pages.text.toLowerCase()}: choose above if they are something else.` : "";
  $("note").textContent = [unsaid, recording.note].filter(Boolean).join(" ");
  $("note").hidden = !$("note").textContent;
}

// A slider, or a list of words, or both, for one parameter.
function control(one) {
  const words = Object.entries(one.words), ranged = one.high > one.low, id = `control-${one.name}`;
  const number = typeof one.value === "number";
  const slider = element("input", { type: "range", id, min: one.low, max: number ? Math.max(one.high, one.value) : one.high, step: one.step });
  const output = element("output"), list = element("select", { id: ranged ? `${id}-words` : id });
  list.append(...words.map(([word, text]) => element("option", { value: word, textContent: text })));
  if (ranged) list.append(element("option", { value: "", textContent: "Give it below" }));
  list.setAttribute("aria-label", one.text);
  const told = () => {
    const given = ranged && (!words.length || list.value === "");
    slider.hidden = !given;
    output.textContent = given ? `${slider.value}${one.unit ? ` ${one.unit}` : ""}` : "";
    return given ? Number(slider.value) : list.value;
  };
  const set = (value) => {
    if (typeof value === "number") slider.value = value;
    if (words.length) list.value = typeof value === "number" ? "" : value;
    told();
  };
  const change = () => {
    state.values = { ...state.values, [one.name]: told() };
    if (state.image) renew();
  };
  slider.value = number ? one.value : (one.low + one.high) / 6;
  slider.addEventListener("input", () => (one.network ? told() : change()));
  if (one.network) slider.addEventListener("change", change);
  list.addEventListener("change", change);
  set(one.value);
  $("reset").addEventListener("click", () => set(one.value));
  const meaning = one.meaning + (one.network ? " A change runs the network again." : "");
  const head = element("div", { className: "head" }, element("label", { htmlFor: id, textContent: one.text }), output);
  const parts = [head, ...(words.length ? [list] : []), ...(ranged ? [slider] : []), element("p", { textContent: meaning })];
  return element("div", { className: "control" }, ...parts);
}

$("reset").addEventListener("click", () => { state.values = {}; if (state.image) renew(); });
$("file").addEventListener("change", (event) => { drop(event.target.files[0]); event.target.value = ""; });
$("column").addEventListener("change", () => { state.column = $("column").value; chart(); });
$("fit").addEventListener("click", () => viewer.fit());
$("actual").addEventListener("click", () => viewer.zoom(1 / viewer.scale));
$("closer").addEventListener("click", () => viewer.zoom(1.25));
$("farther").addEventListener("click", () => viewer.zoom(0.8));
$("outlines").addEventListener("change", (event) => { viewer.outlined = event.target.checked; viewer.draw(); });
$("brightness").addEventListener("input", (event) => { viewer.brightness = Number(event.target.value); viewer.draw(); });
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", name === "dragenter" || name === "dragover");
  });
}
document.addEventListener("drop", (event) => {
  const entry = event.dataTransfer.items[0]?.webkitGetAsEntry?.();
  if (entry?.isDirectory) { dismiss("This is a folder: drop one image at a time. The command predict takes folders."); return; }
  const [file, ...others] = event.dataTransfer.files;
  drop(file);
  if (others.length) say("One image at a time: the first one was taken. The command predict takes folders.");
});
window.addEventListener("pagehide", () => { if (state.image) forget(state.image.id); });
start().catch((error) => say(error.message));
