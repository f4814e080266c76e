'use strict';

const assert = require('node:assert/strict');
const { withReference } = require('../../e2e/node/reference');
const { fromStruct, toStruct } = require('../../e2e/node/values');
const { fails } = require('./failures');

const milliseconds = (duration) => Number(duration.seconds) * 1000 + duration.nanos / 1e6;
const config = (object) => toStruct(object, 'llm_config');

module.exports = {
  'put.values': async (scene) => {
    const key = scene.key('values');
    const { revision } = await scene.put(key, { llm_config: config(scene.values) });
    const metadata = withReference({ key, revision });
    const { context } = await scene.python('See', {}, { metadata });
    assert.deepEqual(context.llm_config, scene.values);
  },

  'put.mask': async (scene) => {
    const key = scene.key('masked');
    const before = { keep: 1, 'top-p': 2, clear: 3 };
    await scene.put(key, { user_id: 'u', session_id: 's', llm_config: config(before) });
    const paths = ['llm_config.`top-p`', 'llm_config.clear', 'session_id'];
    const context = { llm_config: config({ 'top-p': 4 }) };
    await scene.put(key, context, { update_mask: { paths } });
    const { entry } = await scene.get(key);
    assert.deepEqual([entry.context.user_id, entry.context.session_id], ['u', '']);
    assert.deepEqual(fromStruct(entry.context.llm_config), { keep: 1, 'top-p': 4 });
  },

  'put.if_version': async (scene) => {
    const key = scene.key('version');
    const first = await scene.put(key, {});
    const second = await scene.put(key, {}, { if_version: first.revision });
    assert.equal(second.entry.version, second.revision);
    assert.equal(second.entry.context, null);
    const late = scene.put(key, {}, { if_version: first.revision });
    const failure = await fails(late, 'ABORTED', 'VERSION_MISMATCH');
    assert.equal(failure.metadata.current_version, second.revision);
  },

  'put.if_absent': async (scene) => {
    const key = scene.key('absent');
    const { revision } = await scene.put(key, {}, { if_absent: true });
    const late = scene.put(key, {}, { if_absent: true });
    const failure = await fails(late, 'ABORTED', 'ENTRY_EXISTS');
    assert.equal(failure.metadata.current_version, revision);
  },

  'put.request_id': async (scene) => {
    const key = scene.key('once');
    const once = { request_id: 'größe' };
    const first = await scene.put(key, { user_id: 'u' }, once);
    const again = await scene.put(key, { user_id: 'u' }, once);
    assert.equal(again.revision, first.revision);
    const other = scene.put(key, { user_id: 'v' }, once);
    await fails(other, 'INVALID_ARGUMENT', 'REQUEST_ID_REUSED');
  },

  'put.ttl': async (scene) => {
    const key = scene.key('ttl');
    await scene.put(key, {}, { ttl: { seconds: 90, nanos: 500_000_000 } });
    const left = milliseconds((await scene.get(key)).entry.ttl);
    assert.ok(left > 60_000 && left <= 90_500, `${left} ms`);
  },

  'put.create_time': async (scene) => {
    const key = scene.key('time');
    const time = { seconds: '-14182940', nanos: 123_456_000 }; // 1969-07-20T20:17:40.123456Z
    await scene.put(key, { create_time: time });
    assert.deepEqual((await scene.get(key)).entry.context.create_time, time);
  },

  'put.too_large': async (scene) => {
    const large = scene.put(scene.key('large'), { user_id: 'x'.repeat(300_000) });
    const { metadata } = await fails(large, 'RESOURCE_EXHAUSTED', 'CONTEXT_TOO_LARGE');
    assert.equal(metadata.limit_bytes, '262144');
    assert.ok(Number(metadata.size_bytes) >= 300_000);
  },

  'invalidate.keys': async (scene) => {
    const [here, none] = [scene.key('here'), scene.key('none')];
    const { revision } = await scene.put(here, {});
    const ended = await scene.call('Invalidate', { keys: { keys: [here, none] } });
    assert.equal(ended.invalidated_count, 1);
    assert.ok(BigInt(ended.revision) > BigInt(revision));
    await fails(scene.get(here), 'NOT_FOUND', 'NO_ENTRY');
  },

  'invalidate.tenant': async (scene) => {
    const agent = scene.key('a', 'agent_config');
    const conversation = scene.key('c');
    await scene.put(agent, {});
    await scene.put(conversation, {});
    const tenant = { tenant_id: scene.tenant };
    await scene.call('Invalidate', { tenant: { ...tenant, scope: 'agent_config' } });
    await fails(scene.get(agent), 'NOT_FOUND', 'NO_ENTRY');
    await scene.get(conversation);
    await scene.call('Invalidate', { tenant });
    await fails(scene.get(conversation), 'NOT_FOUND', 'NO_ENTRY');
  },

  'invalidate.request_id': async (scene) => {
    const key = scene.key('once');
    await scene.put(key, {});
    const request = { keys: { keys: [key] }, request_id: 'größe' };
    const first = await scene.call('Invalidate', request);
    const { revision } = await scene.put(key, {});
    assert.deepEqual(await scene.call('Invalidate', request), first);
    assert.equal((await scene.get(key)).entry.version, revision);
  },
};
