/**
 * Shapes and clouds of points, turned by hand: drawn into the pixels of a canvas, the nearest in front.
 */

import { PALETTE } from './colors.js';
import { h, oncePerFrame, textButton } from './dom.js';
import { save } from './download.js';
import { endingOf } from './media.js';
import { READERS } from './shapes.js';

const TURN = 0.01;
const KEYS = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] };
/** Of fewer points each is drawn larger. */
const FEW = 20_000;

/** @param {import('./viewer.js').File} file */
export async function showCloud({ blob }, { path, caption }) {
  const read = READERS[endingOf(path)];
  if (!read)
    return h(
      'div',
      { class: 'said-of-media' },
      h('p', { text: `This page cannot show shapes of the kind ${endingOf(path)}.` }),
      textButton('Save the file', () => save(path.split('/').at(-1), blob)),
    );
  const shape = read(await blob.arrayBuffer());
  if (!shape.points.length && !shape.lines.length) throw new Error('it has no points');
  return new Cloud(shape, caption);
}

class Cloud {
  constructor(shape, caption) {
    [this.yaw, this.pitch, this.scale] = [0.6, 0.35, 1.3];
    this.redraw = oncePerFrame(() => this.draw());
    const count = shape.points.length.toLocaleString('en-US');
    this.canvas = h('canvas', {
      tabindex: '0',
      role: 'img',
      'aria-label': `${caption ?? 'Shape'}: ${count} points. Arrow keys turn it, plus and minus zoom.`,
      on: {
        pointermove: (event) => this.drag(event),
        pointerdown: (event) => event.target.setPointerCapture(event.pointerId),
        keydown: (event) => this.press(event),
        wheel: (event) => this.wheel(event),
      },
    });
    this.element = h(
      'div',
      { class: 'cloud' },
      this.canvas,
      h('span', { class: 'muted', text: `${count} points` }),
    );
    this.normalize(shape);
    this.size = new ResizeObserver(this.redraw);
    this.size.observe(this.element);
  }

  close() {
    this.size.disconnect();
  }

  /** Around the origin, and of radius 1. */
  normalize({ points, lines }) {
    const all = [...points, ...lines.flatMap(({ from, to }) => [from, to])];
    const [low, high] = [
      [Infinity, Infinity, Infinity],
      [-Infinity, -Infinity, -Infinity],
    ];
    for (const point of all)
      for (const at of [0, 1, 2]) {
        low[at] = Math.min(low[at], point[at]);
        high[at] = Math.max(high[at], point[at]);
      }
    const middle = low.map((one, at) => (one + high[at]) / 2);
    const radius = Math.hypot(...high.map((one, at) => one - middle[at])) || 1;
    const put = (point) => [0, 1, 2].map((at) => (point[at] - middle[at]) / radius);
    this.points = points.map((point) => ({ at: put(point), color: channelsOf(point) }));
    this.lines = lines.map(({ from, to, color }) => ({ from: put(from), to: put(to), color }));
  }

  drag({ buttons, movementX, movementY }) {
    if (!buttons) return;
    this.turn(movementX * TURN, movementY * TURN);
  }

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.min(Math.max(this.pitch + pitch, -Math.PI / 2), Math.PI / 2);
    this.redraw();
  }

  press(event) {
    const zoom = { '+': 1.2, '=': 1.2, '-': 1 / 1.2 }[event.key];
    if (!KEYS[event.key] && !zoom) return;
    event.preventDefault();
    if (zoom) this.scale *= zoom;
    this.turn(...(KEYS[event.key] ?? [0, 0]));
  }

  /** The wheel scrolls the page, but where the shape was taken hold of. */
  wheel(event) {
    if (document.activeElement !== this.canvas) return;
    event.preventDefault();
    this.scale *= event.deltaY < 0 ? 1.1 : 1 / 1.1;
    this.redraw();
  }

  draw() {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [this.element.clientWidth, this.element.clientHeight].map((side) =>
      Math.round(side * ratio),
    );
    if (!width || !height) return;
    Object.assign(this.canvas, { width, height });
    const pen = this.canvas.getContext('2d');
    const view = this.view(width, height);
    const style = getComputedStyle(document.documentElement);
    this.drawPoints(pen, view, channels(style.getPropertyValue('--accent').trim()), ratio);
    pen.lineWidth = ratio;
    for (const { from, to, color } of this.lines) {
      pen.strokeStyle = color ?? style.getPropertyValue('--muted').trim();
      pen.beginPath();
      pen.moveTo(...view(from));
      pen.lineTo(...view(to));
      pen.stroke();
    }
  }

  /** From a point to its place on the canvas, and how near it is; z is up. */
  view(width, height) {
    const [sy, cy, sp, cp] = [
      Math.sin(this.yaw),
      Math.cos(this.yaw),
      Math.sin(this.pitch),
      Math.cos(this.pitch),
    ];
    const size = (Math.min(width, height) / 2) * this.scale;
    return ([x, y, z]) => {
      const [across, away] = [x * cy - y * sy, x * sy + y * cy];
      return [width / 2 + across * size, height / 2 - (z * cp - away * sp) * size, z * sp + away * cp];
    };
  }

  drawPoints(pen, view, plain, ratio) {
    const { width, height } = this.canvas;
    const picture = pen.createImageData(width, height);
    const depth = new Float32Array(width * height).fill(-Infinity);
    const side = Math.round(ratio * (this.points.length < FEW ? 2 : 1));
    for (const { at, color } of this.points) {
      const [x, y, near] = view(at);
      const shade = 0.62 + 0.38 * ((near + 1) / 2);
      for (let row = Math.round(y); row < Math.round(y) + side; row += 1)
        for (let column = Math.round(x); column < Math.round(x) + side; column += 1) {
          const place = row * width + column;
          if (row < 0 || row >= height || column < 0 || column >= width || depth[place] > near) continue;
          depth[place] = near;
          const [red, green, blue] = color ?? plain;
          picture.data.set([red * shade, green * shade, blue * shade, 255], place * 4);
        }
    }
    pen.putImageData(picture, 0, 0);
  }
}

/** The colour that a point has of its own: by its category, or red, green and blue. */
function channelsOf(point) {
  if (point.length >= 6) return point.slice(3, 6);
  return point.length === 4 ? channels(PALETTE[Math.abs(Math.round(point[3]) || 0) % PALETTE.length]) : null;
}

const channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
