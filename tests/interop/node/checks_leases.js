'use strict';

const assert = require('node:assert/strict');
const { fails } = require('./failures');

module.exports = {
  'lease.creates': async (scene) => {
    const key = scene.key('created');
    const { result, lease } = await scene.call('Lease', { key });
    assert.equal(result, 'lease');
    assert.ok(lease.token);
    assert.ok(Number(lease.ttl.seconds) > 0 && Number(lease.ttl.seconds) <= 10);
    const wait = { seconds: 0, nanos: 20_000_000 };
    const other = scene.call('Lease', { key, wait });
    const failure = await fails(other, 'ABORTED', 'LEASE_HELD');
    assert.ok(failure.retryAfterMs > 0 && failure.retryAfterMs <= 10_000);
    const { revision } = await scene.put(key, { user_id: 'u' }, { lease_token: lease.token });
    const after = await scene.call('Lease', { key });
    assert.deepEqual([after.result, after.entry.version], ['entry', revision]);
    assert.equal(after.entry.context.user_id, 'u');
  },

  'lease.request_id': async (scene) => {
    const request = { key: scene.key('once'), request_id: 'größe' };
    const [first, again] = [await scene.call('Lease', request), await scene.call('Lease', request)];
    assert.equal(again.lease.token, first.lease.token);
  },

  'lease.lost': async (scene) => {
    const key = scene.key('lost');
    const { lease } = await scene.call('Lease', { key });
    await scene.call('Invalidate', { keys: { keys: [key] } });
    const late = scene.put(key, {}, { lease_token: lease.token });
    await fails(late, 'FAILED_PRECONDITION', 'LEASE_LOST');
  },

  'lease.release': async (scene) => {
    const key = scene.key('released');
    const { lease } = await scene.call('Lease', { key });
    await scene.call('Release', { key, lease_token: lease.token });
    const next = await scene.call('Lease', { key });
    assert.equal(next.result, 'lease');
    assert.notEqual(next.lease.token, lease.token);
  },

  'lease.renew': async (scene) => {
    const key = scene.key('renewed');
    const { revision } = await scene.put(key, {});
    const { result, lease } = await scene.call('Lease', { key, renew_version: revision });
    assert.equal(result, 'lease');
    const written = await scene.put(key, {}, { lease_token: lease.token });
    assert.ok(BigInt(written.revision) > BigInt(revision));
  },
};
