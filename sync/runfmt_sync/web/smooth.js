/**
 * Smoothing as W&B's slider does it: an exponential moving average, weighted by the distance of the
 * points on the x-axis, debiased (docs.wandb.ai, "Smooth line plots"). Pure.
 */

/** So many units is the width of the chart, whatever its x-axis counts. */
const SCALE = 1000;

/**
 * @param {ArrayLike<number>} x rising
 * @param {ArrayLike<number|null>} y
 * @param {number} weight 0 (none) to 0.999
 * @param {number} range the width of the chart in units of x
 * @returns {(number|null)[]} null where y is no finite number
 */
export function smooth(x, y, weight, range) {
  if (!(weight > 0)) return Array.from(y);
  const kept = Math.min(Math.sqrt(weight), 0.999);
  let [sum, count, before] = [0, 0, x[0]];
  return Array.from(y, (value, i) => {
    if (value === null || !Number.isFinite(value)) return null;
    const decay = kept ** (range > 0 ? ((x[i] - before) / range) * SCALE : 1);
    sum = sum * decay + value;
    count = count * decay + 1;
    before = x[i];
    return sum / count;
  });
}
