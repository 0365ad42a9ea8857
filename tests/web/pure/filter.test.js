import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FilterError, parseFilter } from '../filter.js';

const RUN = {
  name: 'calm-otter-1',
  id: '20261124-k3x9q2',
  state: 'finished',
  tags: ['baseline', 'v2'],
  notes: 'first try',
  'config.lr': 0.1,
  'config.optimizer.name': 'adam',
  'config.pretrained': true,
  'config.seed': null,
  'summary.loss': NaN,
  'summary.val/best loss': 0.5,
  created: '2026-11-24T03:05:54.123456Z',
};
const look = (path) =>
  [path, `config.${path}`, `summary.${path}`].map((one) => RUN[one]).find((value) => value !== undefined);

const HOLDS = [
  '',
  '  ',
  'otter',
  'k3x9',
  'BASELINE',
  '"first try"',
  'calm otter',
  'config.lr = 0.1',
  'config.lr > 0.01 and state = finished',
  'config.lr > 1 or lr <= 0.1',
  'lr >= 1e-1',
  'not lr > 0.1',
  'not not lr = 0.1',
  'state in [running, finished]',
  '(state = running or tags = v2) and not (lr != 0.1)',
  'tags = baseline',
  'tags ~ base',
  'notes !~ second',
  'pretrained = true',
  'config.seed = null',
  'config.absent = null',
  'config.absent != 3',
  '"summary.val/best loss" < 1',
  'created > 2026-11-01',
  'optimizer.name==adam',
  'config.lr',
  'not config.nothing',
  'summary.loss = nan',
  'name ~ "calm-otter"',
  'state = FINISHED',
];
const FAILS = [
  'resnet',
  'summary.nothing',
  'config.lr > 0.1',
  'state = running',
  'not otter',
  'otter and resnet',
  'tags = base',
  'tags != baseline',
  'lr < 0.1',
  'config.absent > 0',
  'config.absent < 0',
  'lr > zero',
  'state in [running, failed]',
  'summary.loss > 0',
  'config.lr = null',
];
const BROKEN = [
  ['config.lr >', 11, /value/],
  ['config.lr > and', 12, /value/],
  ['state = finished or', 19, /name/],
  ['(state = running', 16, /“\)”/],
  ['state = running)', 15, /“and”/],
  ['state in running', 9, /\[/],
  ['state in [a b]', 12, /\]/],
  ['"open', 0, /quote/],
  ['= 3', 0, /name/],
  ['a = 1 ] ', 6, /“and”/],
];

for (const text of HOLDS) test(`holds: ${text}`, () => assert.equal(parseFilter(text)(look), true));
for (const text of FAILS) test(`does not hold: ${text}`, () => assert.equal(parseFilter(text)(look), false));
for (const [text, position, message] of BROKEN) {
  test(`cannot be read: ${text}`, () =>
    assert.throws(
      () => parseFilter(text),
      (error) => {
        assert.ok(error instanceof FilterError);
        assert.equal(error.position, position);
        assert.match(error.message, message);
        return true;
      },
    ));
}
