/**
 * Histograms: what is one, and how several are laid beside each other. Pure.
 */

/** @typedef {{bins: number[], values: number[]}} Histogram n+1 rising edges, n counts (R079) */

/** Whether a value can be drawn: others say that they are histograms too. */
export function isHistogram({ bins, values } = {}) {
  return (
    Array.isArray(bins) &&
    Array.isArray(values) &&
    values.length > 0 &&
    bins.length === values.length + 1 &&
    values.every((value) => Number.isFinite(value) && value >= 0) &&
    bins.every((edge, i) => Number.isFinite(edge) && (i === 0 || edge > bins[i - 1]))
  );
}

/** The least and the greatest edge of all. */
export function edgesOf(histograms) {
  return [
    Math.min(...histograms.map(({ bins }) => bins[0])),
    Math.max(...histograms.map(({ bins }) => bins.at(-1))),
  ];
}

/**
 * Which share of a histogram lies in each of equal rows between two edges.
 * @param {Histogram} histogram
 * @param {[number, number]} edges
 * @param {number} rows
 * @returns {number[]} their sum is 1, or 0 of an empty one
 */
export function sharesOf({ bins, values }, [low, high], rows) {
  const shares = new Array(rows).fill(0);
  const total = values.reduce((sum, value) => sum + value, 0);
  const rowOf = (edge) => ((edge - low) / (high - low)) * rows;
  if (total)
    values.forEach((value, i) => {
      const [from, to] = [rowOf(bins[i]), rowOf(bins[i + 1])];
      for (let row = Math.max(Math.floor(from), 0); row < Math.min(Math.ceil(to), rows); row += 1)
        shares[row] += ((Math.min(to, row + 1) - Math.max(from, row)) / (to - from)) * (value / total);
    });
  return shares;
}

/** The bin in which a number lies, or -1. */
export function binOf({ bins }, number) {
  if (number === bins.at(-1)) return bins.length - 2;
  return number < bins[0] ? -1 : bins.findIndex((edge, i) => i + 1 < bins.length && number < bins[i + 1]);
}

/**
 * Where the columns of steps lie between 0 and 1: each reaches halfway to its neighbours.
 * @param {number[]} steps rising
 * @returns {[number, number][]}
 */
export function columnsOf(steps) {
  if (steps.length === 1) return [[0, 1]];
  const middle = steps.slice(1).map((step, i) => (step + steps[i]) / 2);
  const [first, last] = [2 * steps[0] - middle[0], 2 * steps.at(-1) - middle.at(-1)];
  const edges = [first, ...middle, last].map((edge) => (edge - first) / (last - first));
  return steps.map((_, i) => [edges[i], edges[i + 1]]);
}
