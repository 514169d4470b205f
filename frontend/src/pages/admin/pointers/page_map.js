import { colorOfHeat, heatOf } from "../../../charts/heat.js";

const WIDTH = 800;
const TALLEST = 1_600;

/** The outline of a page with its heat, the pointers that are on it now, and one that is replayed. */
export class PageMap {
  #canvas;
  #heat = null;
  #pointers = new Map();

  constructor(canvas) {
    this.#canvas = canvas;
    this.#canvas.width = WIDTH;
    this.#canvas.height = WIDTH;
  }

  get count() {
    return this.#pointers.size;
  }

  /** Null: nothing is known of this page yet. */
  show(heat) {
    this.#heat = heat && pictureOf(heat);
    const ratio = heat?.width && heat?.height ? heat.height / heat.width : 1;
    this.#canvas.height = Math.round(Math.min(Math.max(WIDTH * ratio, WIDTH / 2), TALLEST));
  }

  forget() {
    this.#pointers.clear();
  }

  receive({ type, pointers = [], gone = [] }) {
    if (type === "snapshot") this.#pointers.clear();
    for (const { session, x, y } of pointers) this.#pointers.set(session, { x, y });
    for (const session of gone) this.#pointers.delete(session);
  }

  draw(trail = []) {
    const context = this.#canvas.getContext("2d");
    const { width, height } = this.#canvas;
    const style = getComputedStyle(this.#canvas);
    const color = (name) => style.getPropertyValue(name).trim();
    context.clearRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    if (this.#heat) context.drawImage(this.#heat, 0, 0, width, height);
    for (const { x, y } of this.#pointers.values()) {
      dot(context, x * width, y * height, 9, color("--good"), color("--surface"));
    }
    if (trail.length === 0) return;
    context.strokeStyle = color("--accent");
    context.lineWidth = 3;
    context.lineJoin = "round";
    context.beginPath();
    for (const [, x, y] of trail) context.lineTo(x * width, y * height);
    context.stroke();
    const [, x, y, down] = trail.at(-1);
    dot(context, x * width, y * height, down ? 16 : 11, color("--accent"), color("--surface"));
  }
}

/** A pixel a cell: drawn larger, they run into each other. */
function pictureOf(heat) {
  const canvas = document.createElement("canvas");
  canvas.width = heat.columns;
  canvas.height = heat.rows;
  const picture = new ImageData(heat.columns, heat.rows);
  heatOf(heat).forEach((share, i) => picture.data.set(colorOfHeat(share), 4 * i));
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

function dot(context, x, y, radius, fill, rim) {
  context.fillStyle = fill;
  context.strokeStyle = rim;
  context.lineWidth = 3;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
  context.stroke();
}
