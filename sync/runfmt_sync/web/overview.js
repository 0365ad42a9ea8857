/**
 * Part of the page of a run: where it comes from, how it went, where it is now.
 */

import { mayEdit } from './access.js';
import { fill, h, iconButton, textButton } from './dom.js';
import { openEditor } from './editing.js';
import { markdown } from './markdown.js';
import { stateDot } from './table.js';
import { formatAgo, formatBytes, formatDuration, formatNumber, formatValue } from './values.js';

/** So many problems are listed. */
const MOST = 100;
/** Of the environment, what has a line of its own. */
const NAMED = ['argv', 'program', 'cwd', 'git', 'gpus', 'memory', 'slurm'];

export class OverviewPart {
  constructor() {
    this.element = h('div', { class: 'overview' });
    this.said = '';
  }

  close() {}

  update(run, about) {
    const said = JSON.stringify([run.row, about]);
    if (said === this.said) return;
    this.said = said;
    const { environment = {} } = run.row.attributes;
    fill(
      this.element,
      facts(run),
      command(environment),
      source(environment.git),
      machine(environment),
      about && health(about),
      about?.remotes && remotes(about.remotes),
      about?.links.length > 0 && links(about.links),
    );
  }
}

/** A box with pairs; those without a value are left out, and a box with nothing in it. */
function box(title, rows, ...more) {
  const there = rows.filter(([, value]) => value !== undefined && value !== null && value !== '');
  if (!there.length && !more.some(Boolean)) return null;
  return h(
    'section',
    { class: 'pairs' },
    h('h2', { text: title }),
    there.length > 0 &&
      h(
        'dl',
        {},
        there.flatMap(([name, value]) => [h('dt', { text: name }), h('dd', {}, value)]),
      ),
    ...more,
  );
}

const when = (time) =>
  Number.isFinite(time) ? `${new Date(time * 1000).toLocaleString('en-GB')} · ${formatAgo(time)}` : '';

function facts(run) {
  const { attributes } = run.row;
  const value = (name) => run.values.get(name);
  return box('Run', [
    ['State', h('span', { class: 'row' }, stateDot(run.state), stateText(run))],
    ['Created', when(Date.parse(value('created')) / 1000)],
    ['Last sign of life', when(value('updated'))],
    ['Duration', formatDuration(value('duration'))],
    ['Rows', formatNumber(value('rows') ?? NaN)],
    ['Tags', editable(run, 'tags', tags(value('tags')))],
    ['Notes', editable(run, 'notes', value('notes') && markdown(value('notes')))],
    ['Project', value('project')],
    ['Group', value('group')],
    ['Job type', value('job_type')],
    ['Id', copied(value('id'))],
    ['Uid', copied(run.uid)],
    ['Folder', copied(run.row.path)],
    ['Forked from', attributes.forked_from && formatValue(attributes.forked_from)],
  ]);
}

function stateText(run) {
  const { exit_code: code } = run.row.attributes;
  return code === undefined || code === null || code === 0 ? run.state : `${run.state}, exit code ${code}`;
}

const tags = (words = []) =>
  words.length > 0 &&
  h(
    'span',
    {},
    words.map((tag) => h('span', { class: 'tag', text: tag })),
  );

/** What people may change, with a button to, if who looks may. */
function editable(run, field, shown) {
  if (!mayEdit()) return shown || null;
  const button = textButton(shown ? 'Edit' : `Add ${field}`, () => openEditor(button, run, field), {
    class: 'link',
    'aria-label': `Edit ${field}`,
  });
  return h('span', { class: 'editable' }, shown, button);
}

/** A text with a button that copies it. */
function copied(text) {
  return text && h('span', { class: 'row' }, h('code', { text }), copyButton(text));
}

const copyButton = (text) =>
  iconButton('copy', 'Copy', async (event) => {
    const button = event.currentTarget;
    await navigator.clipboard.writeText(text);
    button.classList.add('done');
  });

function command({ argv, program, cwd }) {
  const words = Array.isArray(argv) && argv.length ? argv : [program].filter(Boolean);
  if (!words.length) return null;
  const line = [...(isPython(words[0]) ? ['python'] : []), ...words].map(quoted).join(' ');
  return box(
    'Command',
    [['In', cwd]],
    h('div', { class: 'command' }, h('code', { text: line }), copyButton(line)),
  );
}

/** Whether Python runs it: what it calls `argv` begins with the script. */
const isPython = (word) => /\.py$/i.test(word);

/** A word as a shell takes it. */
const quoted = (word) =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${String(word).replaceAll("'", "'\\''")}'`;

function source(git) {
  if (!git) return null;
  return box('Git', [
    ['Commit', git.commit && copied(git.commit)],
    ['Branch', git.branch],
    ['Remote', git.remote],
    ['Changed', git.dirty ? 'there were changes that no commit has' : 'no'],
  ]);
}

function machine(environment) {
  const others = Object.entries(environment).filter(([name]) => !NAMED.includes(name));
  const { memory, gpus, slurm } = environment;
  return box('Environment', [
    ...others.map(([name, value]) => [name, Number.isInteger(value) ? String(value) : formatValue(value)]),
    ['memory', formatBytes(memory)],
    ['gpus', Array.isArray(gpus) && gpus.length > 0 ? gpus.map(formatValue).join(', ') : ''],
    ...Object.entries(slurm ?? {}).map(([name, value]) => [name, formatValue(value)]),
  ]);
}

function health({ gaps, rewinds, problems, writers }) {
  const ranks = writers.metrics.length > 1 ? writers.metrics.join(', ') : '';
  const back = rewinds.map(({ step, time }) => `to step ${formatNumber(step)} (${formatAgo(time)})`);
  return box(
    'Health',
    [
      ['Gaps', gaps ? `${gaps}: rows were lost there` : 'none'],
      ['Rewinds', back.length ? `${back.length}: ${back.slice(-20).join(', ')}` : 'none'],
      ['Problems', problems.length ? String(problems.length) : 'none'],
      ['Writers', ranks],
    ],
    problems.length > 0 && h('ul', { class: 'problems' }, problems.slice(0, MOST).map(problemItem)),
  );
}

function problemItem({ path, offset, rule, text }) {
  const place = [path, offset !== null && `byte ${offset.toLocaleString('en-US')}`]
    .filter(Boolean)
    .join(', ');
  return h(
    'li',
    {},
    h('code', { text: rule }),
    h('span', { class: 'error', text: ` ${text}` }),
    place && h('span', { class: 'muted', text: ` (${place})` }),
  );
}

function remotes(found) {
  return box(
    'Sync',
    [],
    found.length
      ? h(
          'ul',
          { class: 'remotes' },
          found.map(({ name, url, synced, time }) =>
            h(
              'li',
              {},
              h('span', { class: synced ? 'state synced' : 'state behind' }),
              name !== url && h('strong', { text: name }),
              h('span', { class: 'muted clip grow', text: url, title: url }),
              h('span', { text: synced ? 'has all of it' : time ? 'is behind' : 'has nothing' }),
              time && h('span', { class: 'muted', text: formatAgo(time) }),
            ),
          ),
        )
      : h('p', { class: 'muted', text: 'Nothing of it was brought anywhere from here: runfmt sync does.' }),
  );
}

function links(found) {
  return box(
    'Links that are not followed',
    [],
    h(
      'ul',
      {},
      found.map((path) => h('li', {}, h('code', { text: path }))),
    ),
  );
}
