// Latencies, in figures and as a small curve.

const WIDTH = 160;
const HEIGHT = 36;
const SHOWN = 60;

/** @param {number | null} ms @returns {string} short enough for a tile, with its unit */
export function briefly(ms) {
  if (ms === null) return "–";
  if (ms < 10_000) return `${ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
  return `${(ms / 1_000).toFixed(ms < 100_000 ? 1 : 0)} s`;
}

/** @param {SVGElement} svg @param {readonly number[]} latencies ms, newest last */
export function drawSparkline(svg, latencies) {
  const shown = latencies.slice(-SHOWN);
  if (shown.length < 2) return;
  const top = Math.max(...shown, 1) * 1.15;
  const points = shown.map((ms, index) => `${((index / (shown.length - 1)) * WIDTH).toFixed(1)},${(HEIGHT - (ms / top) * HEIGHT).toFixed(1)}`);
  const line = `M${points.join("L")}`;
  svg.innerHTML = `<path class="area" d="${line}L${WIDTH},${HEIGHT}L0,${HEIGHT}Z"/><path class="line" d="${line}"/>`;
}
