/**
 * Shapes and clouds of points out of files: positions, colours, and lines between points. Pure.
 */

/**
 * @typedef {object} Shape
 * @property {number[][]} points x, y, z; and a category, or red, green, blue
 * @property {{from: number[], to: number[], color: string|null}[]} lines
 */

const BOX_EDGES = [
  [0, 1], [1, 2], [2, 3], [3, 0],
  [4, 5], [5, 6], [6, 7], [7, 4],
  [0, 4], [1, 5], [2, 6], [3, 7],
]; // prettier-ignore
/** Of more lines the points alone are shown. */
const MOST_LINES = 60_000;

/** @type {Record<string, (bytes: ArrayBuffer) => Shape>} by ending */
export const READERS = { json: readPoints, obj: readObj, stl: readStl };

const textOf = (bytes) => new TextDecoder().decode(bytes);
const isPoint = (point) =>
  Array.isArray(point) && point.length >= 3 && point.slice(0, 3).every(Number.isFinite);

function readPoints(bytes) {
  const said = JSON.parse(textOf(bytes));
  const { points, boxes = [], vectors = [] } = Array.isArray(said) ? { points: said } : said;
  const lines = [...(boxes ?? []).flatMap(edgesOf), ...(vectors ?? []).map(arrow)];
  return {
    points: (points ?? []).filter(isPoint),
    lines: lines.filter(({ from, to }) => isPoint(from) && isPoint(to)),
  };
}

function edgesOf({ corners = [], color } = {}) {
  return BOX_EDGES.map(([from, to]) => ({ from: corners[from], to: corners[to], color: colorOf(color) }));
}

const arrow = ({ start, end, color } = {}) => ({ from: start, to: end, color: colorOf(color) });

function colorOf(color) {
  return isPoint(color)
    ? `rgb(${color
        .slice(0, 3)
        .map((part) => Math.round(part))
        .join(' ')})`
    : null;
}

/** Vertices and faces of Wavefront OBJ; all else is left out. */
function readObj(bytes) {
  const [points, faces] = [[], []];
  for (const line of textOf(bytes).split('\n')) {
    const [word, ...rest] = line.trim().split(/\s+/);
    if (word === 'v') points.push(rest.slice(0, 3).map(Number));
    if (word === 'f')
      faces.push(rest.map((one) => parseInt(one, 10)).map((at) => (at < 0 ? points.length + at : at - 1)));
  }
  return shapeOf(points, faces);
}

/** Triangles of STL, in text or binary. */
function readStl(bytes) {
  const view = new DataView(bytes);
  const count = bytes.byteLength >= 84 ? view.getUint32(80, true) : -1;
  const points = bytes.byteLength === 84 + 50 * count ? corners(view, count) : vertices(textOf(bytes));
  return shapeOf(
    points,
    Array.from({ length: Math.floor(points.length / 3) }, (_, i) => [3 * i, 3 * i + 1, 3 * i + 2]),
  );
}

const vertices = (text) =>
  [...text.matchAll(/vertex\s+(\S+)\s+(\S+)\s+(\S+)/g)].map((found) => found.slice(1).map(Number));

function corners(view, count) {
  return Array.from({ length: 3 * count }, (_, i) =>
    [0, 4, 8].map((at) => view.getFloat32(84 + 50 * Math.floor(i / 3) + 12 + 12 * (i % 3) + at, true)),
  );
}

function shapeOf(points, faces) {
  const lines = faces.flatMap((face) =>
    face.map((from, i) => ({ from: points[from], to: points[face[(i + 1) % face.length]], color: null })),
  );
  const whole =
    lines.length <= MOST_LINES ? lines.filter(({ from, to }) => isPoint(from) && isPoint(to)) : [];
  return { points: points.filter(isPoint), lines: whole };
}
