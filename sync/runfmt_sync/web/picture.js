/**
 * A pen that writes SVG: answers to the names of a canvas that `chart.js` uses, so that a picture to keep
 * is drawn by the code that draws the page.
 */

const NAMESPACE = 'http://www.w3.org/2000/svg';
const ANCHOR = { left: 'start', center: 'middle', right: 'end' };
const BASELINE = { top: 'hanging', middle: 'central', alphabetic: 'auto' };

export class PicturePen {
  constructor(width, height) {
    this.svg = document.createElementNS(NAMESPACE, 'svg');
    this.place = this.svg;
    this.path = [];
    this.dash = [];
    this.clips = 0;
    Object.assign(this, {
      globalAlpha: 1,
      lineWidth: 1,
      fillStyle: '#000',
      strokeStyle: '#000',
      font: '',
      textAlign: 'left',
      textBaseline: 'alphabetic',
    });
    for (const [key, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` }))
      this.svg.setAttribute(key, value);
  }

  /** @returns {string} the picture as a file */
  text() {
    return new XMLSerializer().serializeToString(this.svg);
  }

  beginPath() {
    this.path = [];
  }

  moveTo(x, y) {
    this.path.push(`M${short(x)} ${short(y)}`);
  }

  lineTo(x, y) {
    this.path.push(`${this.path.length ? 'L' : 'M'}${short(x)} ${short(y)}`);
  }

  rect(x, y, width, height) {
    this.path.push(`M${short(x)} ${short(y)}h${short(width)}v${short(height)}h${short(-width)}Z`);
  }

  arc(x, y, radius) {
    this.path.push(
      `M${short(x - radius)} ${short(y)}`,
      ...[2 * radius, -2 * radius].map((across) => `a${radius} ${radius} 0 1 0 ${across} 0`),
    );
  }

  stroke() {
    this.add('path', {
      d: this.path.join(''),
      fill: 'none',
      stroke: this.strokeStyle,
      'stroke-width': this.lineWidth,
      'stroke-linejoin': 'round',
      ...this.opacity(),
      ...(this.dash.length && { 'stroke-dasharray': this.dash.join(' ') }),
    });
  }

  fill() {
    this.add('path', { d: this.path.join(''), fill: this.fillStyle, ...this.opacity() });
  }

  fillRect(x, y, width, height) {
    this.add('rect', { x, y, width, height, fill: this.fillStyle, ...this.opacity() });
  }

  fillText(text, x, y) {
    const [, size, family] = /([\d.]+)px (.*)/.exec(this.font) ?? ['', '11', 'sans-serif'];
    this.add('text', {
      x: short(x),
      y: short(y),
      fill: this.fillStyle,
      'font-size': size,
      'font-family': family,
      'text-anchor': ANCHOR[this.textAlign],
      'dominant-baseline': BASELINE[this.textBaseline],
    }).textContent = text;
  }

  setLineDash(dash) {
    this.dash = dash;
  }

  /** What is drawn until `restore` is seen within the path only. */
  clip() {
    this.clips += 1;
    const id = `frame-${this.clips}`;
    const shape = this.add('clipPath', { id });
    this.place = shape;
    this.add('path', { d: this.path.join('') });
    this.place = this.svg;
    this.place = this.add('g', { 'clip-path': `url(#${id})` });
  }

  save() {}

  restore() {
    this.place = this.svg;
  }

  opacity() {
    return this.globalAlpha === 1 ? {} : { opacity: this.globalAlpha };
  }

  add(name, attributes) {
    const element = document.createElementNS(NAMESPACE, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    this.place.append(element);
    return element;
  }
}

function short(number) {
  return Math.round(number * 100) / 100;
}
