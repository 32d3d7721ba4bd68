// The image with its outlines on a canvas: zoom, pan, and which object the pointer is on. Lengths are px of the image.

const LINE = "#ffb000"; // amber and sky blue: told apart with every kind of colour vision
const PICKED = "#56b4e9";
const CASING = "rgba(0, 0, 0, 0.7)"; // a dark rim keeps lines visible on bright stains
const CLOSEST = 64;
const NEAR = 6; // px of the screen at which a line counts as pointed at

export class Viewer {
  constructor(canvas, onPoint) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.onPoint = onPoint; // called with the number of an object, or -1, and the place of the pointer
    this.image = null;
    this.size = [1, 1];
    this.shapes = [];
    this.outlined = true;
    this.brightness = 1;
    this.picked = -1;
    this.scale = 1;
    this.offset = [0, 0];
    this.asked = false;
    new ResizeObserver(() => this.resized()).observe(canvas);
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      this.held = [event.offsetX, event.offsetY];
      canvas.setPointerCapture(event.pointerId);
      canvas.style.cursor = "grabbing";
    });
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => { this.held = null; canvas.style.cursor = "grab"; });
    }
    canvas.addEventListener("pointerleave", () => this.onPoint(-1));
    canvas.addEventListener("keydown", (event) => this.pressed(event));
  }

  show(image, width, height) {
    const same = this.image && this.size[0] === width && this.size[1] === height;
    this.image = image;
    this.size = [width, height];
    if (!same) this.fit();
    this.draw();
  }

  clear() {
    this.image = null;
    this.outline([], true);
  }

  // shapes: per object rings [x, y, x, y, ...]; closed: whether they are outlines, not lines
  outline(shapes, closed) {
    this.shapes = shapes;
    this.closed = closed;
    this.picked = -1;
    this.boxes = shapes.map((rings) => {
      const box = [Infinity, Infinity, -Infinity, -Infinity];
      for (const ring of rings) {
        for (let i = 0; i < ring.length; i += 2) {
          box[0] = Math.min(box[0], ring[i]);
          box[1] = Math.min(box[1], ring[i + 1]);
          box[2] = Math.max(box[2], ring[i]);
          box[3] = Math.max(box[3], ring[i + 1]);
        }
      }
      return box;
    });
    this.path = this.pathOf(shapes);
    this.draw();
  }

  pick(number, centre = false) {
    this.picked = number;
    if (centre && number >= 0) {
      const [x0, y0, x1, y1] = this.boxes[number];
      const away = Math.max(x1 - x0, y1 - y0, 1);
      this.scale = Math.max(this.scale, Math.min(8, Math.min(...this.extent()) / (6 * away)));
      this.offset = this.extent().map((side, axis) => side / 2 - this.scale * (axis ? y0 + y1 : x0 + x1) / 2);
    }
    this.draw();
  }

  fit() {
    const [width, height] = this.extent();
    this.scale = Math.min(width / this.size[0], height / this.size[1]) * 0.98 || 1;
    this.offset = [(width - this.scale * this.size[0]) / 2, (height - this.scale * this.size[1]) / 2];
    this.draw();
  }

  zoom(factor, x = this.extent()[0] / 2, y = this.extent()[1] / 2) {
    const least = Math.min(this.extent()[0] / this.size[0], this.extent()[1] / this.size[1], 1) / 2;
    const scale = Math.min(Math.max(this.scale * factor, least), CLOSEST);
    this.offset = [x - (x - this.offset[0]) * scale / this.scale, y - (y - this.offset[1]) * scale / this.scale];
    this.scale = scale;
    this.draw();
  }

  pan(dx, dy) {
    this.offset = [this.offset[0] + dx, this.offset[1] + dy];
    this.draw();
  }

  // The object at a place of the canvas; -1 for none.
  objectAt(left, top) {
    const x = (left - this.offset[0]) / this.scale, y = (top - this.offset[1]) / this.scale;
    const near = this.closed ? 0 : NEAR / this.scale;
    for (let number = 0; number < this.shapes.length; number += 1) {
      const [x0, y0, x1, y1] = this.boxes[number];
      if (x < x0 - near || x > x1 + near || y < y0 - near || y > y1 + near) continue;
      if (this.closed ? inside(this.shapes[number], x, y) : beside(this.shapes[number][0], x, y) <= near) return number;
    }
    return -1;
  }

  extent() { return [this.canvas.clientWidth, this.canvas.clientHeight]; }

  resized() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
    this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
    if (this.image) this.fit();
  }

  moved(event) {
    if (this.held) {
      this.pan(event.offsetX - this.held[0], event.offsetY - this.held[1]);
      this.held = [event.offsetX, event.offsetY];
      return;
    }
    const number = this.outlined ? this.objectAt(event.offsetX, event.offsetY) : -1;
    if (number !== this.picked) this.pick(number);
    this.onPoint(number, event.offsetX, event.offsetY);
  }

  pressed(event) {
    const moves = { ArrowLeft: [50, 0], ArrowRight: [-50, 0], ArrowUp: [0, 50], ArrowDown: [0, -50] };
    const number = this.shapes.length;
    if (moves[event.key]) this.pan(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else if (event.key === "0") this.fit();
    else if (event.key === "1") this.zoom(1 / this.scale);
    else if ((event.key === "n" || event.key === "p") && number) {
      this.pick((this.picked + (event.key === "n" ? 1 : this.picked < 0 ? 0 : -1) + number) % number, true);
      this.onPoint(this.picked, ...this.extent().map((side) => side / 2));
    } else return;
    event.preventDefault();
  }

  pathOf(shapes) {
    const path = new Path2D();
    for (const ring of shapes.flat()) {
      path.moveTo(ring[0], ring[1]);
      for (let i = 2; i < ring.length; i += 2) path.lineTo(ring[i], ring[i + 1]);
      if (this.closed) path.closePath();
    }
    return path;
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.paint(); });
  }

  paint() {
    const { context, scale } = this, ratio = window.devicePixelRatio || 1;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.image) return;
    context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * this.offset[0], ratio * this.offset[1]);
    context.imageSmoothingEnabled = scale < 3;
    context.filter = this.brightness === 1 ? "none" : `brightness(${this.brightness})`;
    context.drawImage(this.image, 0, 0, this.size[0], this.size[1]);
    context.filter = "none";
    if (!this.outlined || !this.path) return;
    context.lineJoin = "round";
    this.stroke(this.path, CASING, 3.4);
    this.stroke(this.path, LINE, 1.6);
    if (this.picked >= 0 && this.picked < this.shapes.length) {
      const path = this.pathOf([this.shapes[this.picked]]);
      this.stroke(path, CASING, 6);
      this.stroke(path, PICKED, 3.4);
    }
  }

  stroke(path, colour, width) {
    this.context.strokeStyle = colour;
    this.context.lineWidth = width / this.scale;
    this.context.stroke(path);
  }
}

function inside(rings, x, y) {
  let odd = false;
  for (const ring of rings) {
    for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
      const above = ring[i + 1] > y, before = ring[j + 1] > y;
      if (above !== before && x < (ring[j] - ring[i]) * (y - ring[i + 1]) / (ring[j + 1] - ring[i + 1]) + ring[i]) odd = !odd;
    }
  }
  return odd;
}

function beside(line, x, y) {
  let least = Infinity;
  for (let i = 0; i + 3 < line.length; i += 2) {
    const dx = line[i + 2] - line[i], dy = line[i + 3] - line[i + 1];
    const along = Math.min(1, Math.max(0, ((x - line[i]) * dx + (y - line[i + 1]) * dy) / (dx * dx + dy * dy || 1)));
    least = Math.min(least, Math.hypot(x - line[i] - along * dx, y - line[i + 1] - along * dy));
  }
  return least;
}
