/**
 * The page of `runfmt view` and of a server. Plain modules, no build: what is here is what the browser runs.
 *
 * What is looked at stands in the address (`state`). Whoever changes it calls `change`; the shell below gives
 * the new view to the page that is shown, which draws it. Data come from three stores, each of which tells
 * its listeners: `runs` (rows), `metrics` (names of metrics), `curves` (points). `live` asks every second
 * what has changed, and only that is loaded again.
 *
 *     main        the shell: pages, navigation, title        keyboard, help, theme, login
 *     state       the view and its address                   api    fetch, token, errors
 *     access      what may be done
 *     dom         elements and drawings; text is never markup; menu   what opens beside a button
 *
 *     projects    page: projects with their counts
 *     charts      page: runlist beside panels
 *     tablepage   page: runlist with columns
 *     compare     page: runlist beside drawings of the chosen runs and what differs between them
 *     runpage     page: one run, in parts: overview, runcharts, documents, console, runfiles, events
 *
 *     runlist     filter, group, columns above a table       table  rows in sight; columns, editing
 *     choice      which runs are listed, grouped, in charts  filter, colors, values (pure)
 *     markdown    notes as people write them             names   of runs, and what tells equal ones apart
 *
 *     compareaxes, comparescatter, comparebars, comparetable
 *                 the parts of compare               comparesvg  drawings; comparevalues (pure)
 *
 *     panels      sections of panels, which are in sight     tools, full, layout
 *     panel       one metric: asks for curves, makes a chart series, smooth, definitions (pure)
 *     plot        a chart on the page: hover, zoom, keys     cursor   shared by all charts
 *     chart       draws; the only module that knows how      scales, marks (pure), picture (SVG),
 *                                                        download
 *
 *     mediapanel  values with a type: runs side by side      sight   tells what comes into sight
 *     viewer      which module shows a value, and when       media   files held as addresses, checked, freed
 *     pictures    boxes and masks over pictures; zoom        frames  pages and figures, of nobody's origin
 *     heat        histograms of many steps; bins (pure)      cloud   points and shapes; shapes (pure)
 *     datatable   sorted, searched, page by page             tableplot, drawn of its rows; plotted (pure)
 *     printed     of a console, in parts; ansi (pure)
 *
 * A new page: a module with `title` and `class Page` (`element`, `update(before)`, `close()`, and `table` if
 * j and k are to move in it), and a line in PAGES.
 */

import { learnAccess } from './access.js';
import { onSignIn, takeToken } from './api.js';
import { chosen, listed } from './choice.js';
import { fill, h, iconButton } from './dom.js';
import { openHelp } from './help.js';
import { startKeys } from './keyboard.js';
import { follow, onPulse, pulse, watch } from './live.js';
import { askForToken } from './login.js';
import { load, runsOf } from './runs.js';
import { addressOf, followAddress, onChange, view } from './state.js';
import { onTheme, startTheme, themeButton } from './theme.js';
import * as charts from './charts.js';
import * as compare from './compare.js';
import * as projects from './projects.js';
import * as run from './runpage.js';
import * as table from './tablepage.js';

const PAGES = { projects, charts, table, compare, run };
/** Those in the navigation of a project. */
const TABS = ['charts', 'table', 'compare'];

let page = null;
let shown = '';
const place = h('main', { id: 'main' });
const path = h('nav', { class: 'path', 'aria-label': 'Where' });
const tabs = h('nav', { class: 'tabs', 'aria-label': 'Pages' });
const dot = h('span', { class: 'live', role: 'status' });

function start() {
  takeToken();
  onSignIn(signIn);
  startTheme();
  const link = iconButton('link', 'Copy a link to this view', copyLink);
  document.body.append(
    h('a', { class: 'skip', href: '#main', text: 'To the content', on: { click: skip } }),
    h(
      'header',
      { class: 'bar' },
      h(
        'a',
        { class: 'brand', href: '#/', 'aria-label': 'runfmt: all projects' },
        h('img', { src: 'web/icon.svg', alt: '' }),
        h('span', { text: 'runfmt' }),
      ),
      path,
      tabs,
      h('span', { class: 'grow' }),
      dot,
      link,
      themeButton(),
      iconButton('help', 'Help (?)', openHelp),
    ),
    place,
  );
  onChange(show);
  onTheme(() => page?.update(null));
  onPulse(showPulse);
  watch(watched);
  startKeys(() => page);
  learnAccess().then(followAddress);
  follow();
}

/** Ask for a token; the page is made anew, as another one may do more or less. */
async function signIn(wasRefused) {
  await askForToken(wasRefused);
  learnAccess().then(() => {
    if (!page) return;
    turnTo(shown);
    page.update(null);
  });
}

/** The runs whose changes matter, first those that matter most. */
function watched() {
  const running = runsOf(view.project).filter((one) => one.state === 'running' || one.row.pending);
  const inView = view.page === 'projects' ? [] : [...chosen(view), ...running, ...listed(view).runs];
  return [...new Set([...inView, ...running])].map((one) => one.uid);
}

/** Show a view; the page stays where only what it shows has changed. */
function show(now, before) {
  const name = PAGES[now.page] ? now.page : 'projects';
  if (name !== 'projects') load(now.project);
  const isOther = name !== shown;
  if (isOther) turnTo(name);
  showPath(now, name);
  page.update(isOther ? null : before);
}

function turnTo(name) {
  page?.close();
  page = new PAGES[name].Page();
  shown = name;
  fill(place, page.element);
}

function showPath(now, name) {
  const project = now.project === null ? 'All runs' : now.project || '(no project)';
  const open = name === 'run' && runsOf(now.project).find((one) => one.tail === now.run);
  fill(
    path,
    name !== 'projects' && h(open ? 'span' : 'h1', { class: 'clip', text: project, title: project }),
    open && h('span', { class: 'clip', text: open.name }),
  );
  const hadFocus = tabs.contains(document.activeElement);
  fill(
    tabs,
    name !== 'projects' &&
      TABS.map((tab) =>
        h('a', {
          href: addressOf({ ...now, page: tab, full: '' }),
          'aria-current': tab === name ? 'page' : null,
          text: PAGES[tab].title,
        }),
      ),
  );
  if (hadFocus) tabs.querySelector('[aria-current]')?.focus();
  document.title = [open && open.name, name !== 'projects' && project, 'runfmt'].filter(Boolean).join(' · ');
}

function showPulse() {
  const word = pulse.isFollowing ? (pulse.isLive ? 'live' : 'up to date') : 'no answer';
  const text = pulse.isFollowing ? readingText() || word : word;
  if (dot.textContent === text && dot.dataset.word === word) return;
  dot.dataset.word = word;
  dot.className = `live ${word.replaceAll(' ', '-')}`;
  dot.title = pulse.isFollowing
    ? 'Changes appear within two seconds'
    : 'The server does not answer; the page tries again every second';
  dot.textContent = text;
}

/** Which of the runs are still being read, empty if none. */
function readingText() {
  const all = runsOf(view.project);
  const pending = all.filter((one) => one.row.pending).length;
  return pending ? `reading ${pending} of ${all.length} runs` : '';
}

async function copyLink(event) {
  const button = event.currentTarget;
  await navigator.clipboard.writeText(location.href);
  button.classList.add('done');
  setTimeout(() => button.classList.remove('done'), 1200);
}

function skip(event) {
  event.preventDefault();
  place.querySelector('a, button, input')?.focus();
}

start();
