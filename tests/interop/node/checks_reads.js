'use strict';

const assert = require('node:assert/strict');
const { fromStruct } = require('../../e2e/node/values');
const { failureIn, fails, fieldsOf } = require('./failures');
const { lookup } = require('./messages');

const seconds = (time) => Number(time.seconds) + time.nanos / 1e9;
const idsOf = (entries) => entries.map((entry) => entry.key.id);

module.exports = {
  'get.entry': async (scene) => {
    const key = scene.key('entry');
    const context = { context_id: 'c', user_id: 'größe', llm_config: scene.values };
    const revision = await scene.pythonPut(key, context);
    const { entry, layers, revision: asOf, not_modified: same } = await scene.get(key);
    assert.deepEqual(entry.key, key);
    assert.equal(entry.version, revision);
    assert.ok(BigInt(asOf) >= BigInt(revision));
    assert.deepEqual([layers, same], [[], false]);
    assert.deepEqual([entry.context.context_id, entry.context.user_id], ['c', 'größe']);
    assert.deepEqual(fromStruct(entry.context.llm_config), scene.values);
    assert.ok(seconds(entry.ttl) > 1700 && seconds(entry.ttl) <= 1800);
    assert.ok(Math.abs(seconds(entry.expire_time) - Date.now() / 1000 - 1800) < 100);
    assert.ok(Math.abs(seconds(entry.context.update_time) - Date.now() / 1000) < 100);
  },

  'get.absent_parts': async (scene) => {
    const key = scene.key('empty');
    await scene.put(key, {});
    const { context } = (await scene.get(key)).entry;
    assert.deepEqual([context.user_id, context.llm_config, context.includes], ['', null, []]);
    assert.ok(seconds(context.create_time) > 0);
  },

  'get.layers': async (scene) => {
    const layers = ['first', 'missing', 'second'].map((id) => scene.key(id, 'agent_config'));
    await scene.put(layers[2], { user_id: 'second' });
    await scene.put(layers[0], { user_id: 'first' });
    const { revision } = await scene.put(scene.key('head'), { includes: layers });
    const answer = await scene.get(scene.key('head'), { include_layers: true });
    assert.deepEqual(answer.entry.context.includes, layers);
    assert.deepEqual(idsOf(answer.layers), ['first', 'second']);
    assert.deepEqual(answer.layers.map((layer) => layer.context.user_id), ['first', 'second']);
    assert.ok(BigInt(answer.revision) >= BigInt(revision));
  },

  'get.layers_unasked': async (scene) => {
    const layer = scene.key('layer', 'agent_config');
    await scene.put(layer, {});
    await scene.put(scene.key('head'), { includes: [layer] });
    const { entry, layers } = await scene.get(scene.key('head'));
    assert.deepEqual([entry.context.includes, layers], [[layer], []]);
  },

  'get.not_modified': async (scene) => {
    const key = scene.key('known');
    const { revision } = await scene.put(key, { user_id: 'u' });
    const { entry, not_modified: same } = await scene.get(key, { known_version: revision });
    assert.deepEqual([same, entry.key, entry.version, entry.context], [true, key, revision, null]);
  },

  'get.cached': async (scene) => {
    const key = scene.key('cached');
    const { revision } = await scene.put(key, { user_id: 'u' });
    for (const _ of [1, 2, 3]) {
      const consistency = 'CONSISTENCY_CACHED';
      const { entry } = await scene.get(key, { consistency, min_revision: revision });
      assert.deepEqual([entry.version, entry.context.user_id], [revision, 'u']);
    }
  },

  'get.fence': async (scene) => {
    const key = scene.key('fence');
    const { revision } = await scene.put(key, {});
    assert.ok(BigInt(revision) > 1n << 53n);
    const { entry } = await scene.get(key, { min_revision: revision });
    assert.equal(entry.version, revision);
    const above = scene.get(key, { min_revision: String(BigInt(revision) + 1n) });
    const failure = await fails(above, 'FAILED_PRECONDITION', 'STORE_BEHIND');
    assert.equal(failure.metadata.revision, revision);
  },

  'get.no_entry': async (scene) => {
    const failure = await fails(scene.get(scene.key('none')), 'NOT_FOUND', 'NO_ENTRY');
    assert.deepEqual(Object.keys(failure.metadata), ['key']);
  },

  'get.invalid_fields': async (scene) => {
    const request = { min_revision: -1, consistency: 99 };
    const failure = await fails(
      scene.get({ scope: '', tenant_id: 'a', id: '\0' }, request),
      'INVALID_ARGUMENT',
      'INVALID_FIELD',
    );
    const fields = ['key.scope', 'key.id', 'min_revision', 'consistency'];
    assert.deepEqual(fieldsOf(failure).sort(), fields.sort());
    assert.ok(failure.violations.every(([, description]) => description));
  },

  'batch_get.results': async (scene) => {
    await scene.put(scene.key('here'), { user_id: 'u' });
    const keys = [scene.key('here'), scene.key('none'), scene.key(''), scene.key('here')];
    const { results } = await scene.call('BatchGet', { requests: keys.map((key) => ({ key })) });
    const kinds = ['response', 'error', 'error', 'response'];
    assert.deepEqual(results.map((one) => one.result), kinds);
    assert.equal(results[0].response.entry.context.user_id, 'u');
    assert.equal(results[3].response.entry.version, results[0].response.entry.version);
    const [none, invalid] = results.slice(1, 3).map(errorIn);
    assert.deepEqual([none.status, none.reason], ['NOT_FOUND', 'NO_ENTRY']);
    assert.deepEqual([invalid.reason, fieldsOf(invalid)], ['INVALID_FIELD', ['key.id']]);
  },

  'batch_get.room': async (scene) => {
    const requests = ['a', 'b'].map((id) => ({ key: scene.key(id) }));
    for (const { key } of requests) {
      await scene.put(key, { user_id: 'x'.repeat(60_000) });
    }
    const { results } = await scene.call('BatchGet', { requests });
    assert.equal(results[0].response.entry.context.user_id.length, 60_000);
    assert.equal(errorIn(results[1]).reason, 'RESPONSE_TOO_LARGE');
    const again = await scene.call('BatchGet', { requests: requests.slice(1) });
    assert.deepEqual(idsOf(again.results.map((one) => one.response.entry)), ['b']);
  },
};

/** The error of a result, which has the fields of google.rpc.Status. */
function errorIn({ error }) {
  return failureIn(lookup('relevo.v1.Error').encode(error).finish());
}
