'use strict';

const assert = require('node:assert/strict');
const { fromStruct } = require('../../e2e/node/values');
const { fails, fieldsOf } = require('./failures');

/** A Watch that is subscribed to a key; its answer has been read. */
async function subscribed(scene, key, more = {}) {
  const watching = scene.watch();
  watching.ask({ subscribe: { key, number: 1, ...more } });
  const answer = await watching.next();
  assert.equal(answer.answers, '1');
  return { watching, answer };
}

/** Ask again and again until a condition holds. */
async function eventually(condition) {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, 'not within 10 s');
  }
}

module.exports = {
  'watch.answers': async (scene) => {
    const [here, none] = [scene.key('here'), scene.key('none')];
    const { revision } = await scene.put(here, { user_id: 'u' });
    const watching = scene.watch();
    watching.ask({ subscribe: { key: here, number: 7 } });
    watching.ask({ subscribe: { key: none, number: 8 } });
    const events = [await watching.next(), await watching.next()];
    const [present, absent] = events.sort((one, other) => one.answers - other.answers);
    assert.deepEqual([present.answers, present.event], ['7', 'entry']);
    assert.deepEqual([present.entry.key, present.entry.version], [here, revision]);
    assert.equal(present.entry.context.user_id, 'u');
    assert.deepEqual([absent.answers, absent.event], ['8', 'invalidated']);
    assert.deepEqual([absent.invalidated.key, absent.invalidated.is_changed], [none, false]);
    watching.close();
  },

  'watch.pushes': async (scene) => {
    const key = scene.key('pushed');
    const { watching } = await subscribed(scene, key);
    const revision = await scene.pythonPut(key, { llm_config: scene.values });
    const { event, answers, entry } = await watching.next();
    assert.deepEqual([event, answers, entry.version], ['entry', '0', revision]);
    assert.deepEqual(entry.key, key);
    assert.deepEqual(fromStruct(entry.context.llm_config), scene.values);
    watching.close();
  },

  'watch.known_version': async (scene) => {
    const key = scene.key('known');
    const { revision } = await scene.put(key, {});
    const { watching, answer } = await subscribed(scene, key, { known_version: revision });
    assert.deepEqual([answer.event, answer.entry.version], ['entry', revision]);
    assert.equal(answer.entry.context, null);
    watching.close();
  },

  'watch.invalidated': async (scene) => {
    const key = scene.key('ended');
    await scene.put(key, {});
    const { watching } = await subscribed(scene, key);
    const byKey = await scene.call('Invalidate', { keys: { keys: [key] } });
    const one = (await watching.next()).invalidated;
    assert.deepEqual([one.target, one.key, one.revision], ['key', key, byKey.revision]);
    const tenant = { tenant_id: scene.tenant, scope: '' };
    const byTenant = await scene.call('Invalidate', { tenant });
    const all = (await watching.next()).invalidated;
    assert.deepEqual([all.target, all.tenant], ['tenant', tenant]);
    assert.equal(all.revision, byTenant.revision);
    watching.close();
  },

  'watch.too_large': async (scene) => {
    const key = scene.key('large');
    const { watching } = await subscribed(scene, key);
    const revision = await scene.pythonPut(key, { user_id: 'x'.repeat(20_000) });
    const { invalidated } = await watching.next();
    assert.deepEqual([invalidated.key, invalidated.is_changed], [key, true]);
    watching.ask({ subscribe: { key, number: 2 } });
    const { answers, entry } = await watching.next();
    assert.deepEqual([answers, entry.version], ['2', revision]);
    assert.equal(entry.context.user_id.length, 20_000);
    watching.close();
  },

  'watch.unsubscribed': async (scene) => {
    const [left, kept] = [scene.key('left'), scene.key('kept')];
    const { watching } = await subscribed(scene, left);
    watching.ask({ subscribe: { key: kept, number: 2 } });
    await watching.next();
    watching.ask({ unsubscribe: { key: left } });
    watching.ask({ ping: { number: 1 } });
    await watching.until(() => [...watching.pings.values()].includes(1));
    await scene.pythonPut(left, {});
    const revision = await scene.pythonPut(kept, {});
    const { entry } = await watching.next();
    assert.deepEqual([entry.key, entry.version], [kept, revision]);
    watching.close();
  },

  'watch.pings': async (scene) => {
    const { watching } = await subscribed(scene, scene.key('pinged'));
    for (const number of [1, 5]) {
      watching.ask({ ping: { number } });
      const events = await watching.until(() => [...watching.pings.values()].includes(number));
      assert.deepEqual(events, []);
    }
    watching.close();
  },

  'watch.progress': async (scene) => {
    const { watching, answer } = await subscribed(scene, scene.key('watched'));
    const { partition } = answer.invalidated;
    const { revision, entry } = await scene.put(scene.key('another'), {});
    assert.equal(entry.partition, partition);
    const reached = () => (watching.revisions.get(partition) ?? 0n) >= BigInt(revision);
    assert.deepEqual(await watching.until(reached), []);
    watching.close();
  },

  'watch.touch': async (scene) => {
    const key = scene.key('touched');
    await scene.put(key, {}, { ttl: { seconds: 100 } });
    const left = async () => {
      const { ttl } = (await scene.get(key)).entry;
      return Number(ttl.seconds) * 1000 + ttl.nanos / 1e6;
    };
    const before = await left();
    await eventually(async () => (await left()) <= before - 20);
    const later = await left();
    const { watching } = await subscribed(scene, key);
    watching.ask({ touch: { key } });
    await eventually(async () => (await left()) > later);
    watching.close();
  },

  'watch.reset': async (scene) => {
    const key = scene.key('ahead');
    const { revision } = await scene.put(key, {});
    const watching = scene.watch();
    const position = String(BigInt(revision) + (1n << 40n));
    watching.ask({ subscribe: { key, number: 1, position } });
    const { reset } = await watching.next();
    assert.equal(reset.reason, 'RESET_REASON_ORDER_CHANGED');
    const { answers, entry } = await watching.next();
    assert.deepEqual([answers, entry.version, entry.partition], ['1', revision, reset.partition]);
    watching.close();
  },

  'watch.invalid_fields': async (scene) => {
    const watching = scene.watch();
    watching.ask({ subscribe: { key: { scope: '', tenant_id: 'a', id: 'b' }, number: 1 } });
    const failure = await fails(watching.next(), 'INVALID_ARGUMENT', 'INVALID_FIELD');
    assert.deepEqual(fieldsOf(failure), ['subscribe.key.scope']);
  },

  'watch.stopping': async (scene) => {
    const watching = scene.watch('stopping');
    watching.ask({ subscribe: { key: scene.key('a'), number: 1 } });
    await watching.next();
    await scene.python('Stop');
    const failure = await fails(watching.next(), 'UNAVAILABLE', 'SERVER_STOPPING');
    assert.equal(failure.retryAfterMs, 500);
  },
};
