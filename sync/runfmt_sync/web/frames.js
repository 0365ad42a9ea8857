/**
 * Documents of runs, and what needs its own scripts: in a frame of nobody's origin, which loads nothing.
 */

import { h } from './dom.js';

let library = null;

/** A page that was logged. */
export async function showPage({ blob }, { caption }) {
  return frame(await blob.text(), caption ?? 'Page of a run');
}

/** A Plotly figure. */
export async function showFigure({ blob }, { caption }) {
  library ??= loadLibrary();
  library.catch(() => {
    library = null;
  });
  const [text, plotly] = await Promise.all([blob.text(), library]);
  return frame(figurePage(JSON.parse(text), plotly), caption ?? 'Figure', 'frame figure');
}

/** The frame becomes the document that it is sent when it says that it is ready. */
function frame(text, title, kind = 'frame') {
  const element = h('iframe', { class: kind, title, sandbox: 'allow-scripts', src: 'web/frame.html' });
  const answer = (event) => {
    if (event.source !== element.contentWindow || event.data !== 'ready') return;
    // Once: the document that it becomes has nothing more to say to this page.
    removeEventListener('message', answer);
    element.contentWindow.postMessage(text, '*');
  };
  addEventListener('message', answer);
  return { element, close: () => removeEventListener('message', answer) };
}

async function loadLibrary() {
  const answer = await fetch('web/plotly.min.js');
  if (!answer.ok) throw new Error('plotly is not installed where the page comes from: pip install plotly');
  return answer.text();
}

/** A script within a page ends at the first `</script`, also within a text. */
const inScript = (code) => code.replace(/<(?=\/script)/gi, '\\x3c');

function figurePage({ data = [], layout = {}, frames }, plotly) {
  const root = document.documentElement;
  const style = getComputedStyle(root);
  const [ink, grid] = ['--ink', '--line'].map((name) => style.getPropertyValue(name).trim());
  const { width, height, template, ...theirs } = layout ?? {};
  const axis = (name) => ({ gridcolor: grid, zerolinecolor: grid, linecolor: grid, ...theirs[name] });
  const figure = {
    data,
    frames,
    layout: {
      font: { color: ink, size: 11 },
      paper_bgcolor: 'rgba(0,0,0,0)',
      plot_bgcolor: 'rgba(0,0,0,0)',
      margin: { l: 48, r: 16, t: theirs.title ? 44 : 16, b: 40 },
      ...theirs,
      xaxis: axis('xaxis'),
      yaxis: axis('yaxis'),
      autosize: true,
    },
    config: { responsive: true, displaylogo: false },
  };
  return `<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="${root.dataset.theme}">
<style>html,body,#figure{height:100%;margin:0;overflow:hidden}</style><div id="figure"></div>
<script>${inScript(plotly)}</script>
<script>Plotly.newPlot('figure', ${JSON.stringify(figure).replaceAll('<', '\\u003c')});</script>`;
}
