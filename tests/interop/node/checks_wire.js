'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { call } = require('../../e2e/node/store');
const { toStruct } = require('../../e2e/node/values');
const { fails, fieldsOf } = require('./failures');
const { lookup } = require('./messages');

const UNDECODABLE = Buffer.from([0xff, 0xff, 0xff]);
const UNARY = ['Get', 'BatchGet', 'Put', 'Invalidate', 'Lease', 'Release'];
const METHOD = '/relevo.v1.ContextStore/';

/** The answer of a call, whose bytes have to be the ones that protobufjs writes. */
async function canonical(scene, name, request) {
  const asked = lookup(`relevo.v1.${name}Request`).fromObject(request);
  const bytes = await scene.rawCall('store', METHOD + name, encoded(`${name}Request`, asked));
  return reread(`${name}Response`, bytes);
}

function encoded(name, message) {
  return Buffer.from(lookup(`relevo.v1.${name}`).encode(message).finish());
}

function reread(name, bytes) {
  const message = lookup(`relevo.v1.${name}`).decode(bytes);
  assert.equal(encoded(name, message).toString('hex'), Buffer.from(bytes).toString('hex'));
  return message;
}

/** A context as protobufjs by itself has it, in camel case; a Struct with one field only. */
function context(includes = []) {
  return { userId: 'u', llmConfig: toStruct({ a: [1, { b: null }] }, 'llm_config'), includes };
}

function keyOf(scene, id) {
  return { scope: 'conversation', tenantId: scene.tenant, id };
}

async function put(scene, id, includes) {
  const request = { key: keyOf(scene, id), context: context(includes) };
  return canonical(scene, 'Put', request);
}

/** A length-delimited field, as bytes. */
function field(number, payload) {
  const lengths = [];
  for (let rest = payload.length; ; rest >>>= 7) {
    lengths.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest < 128) {
      return Buffer.concat([Buffer.from([(number << 3) | 2, ...lengths]), payload]);
    }
  }
}

/** A Struct with one field, as bytes. */
function struct(value) {
  return field(1, Buffer.concat([field(1, Buffer.from('a')), field(2, value)]));
}

const structValue = (value) => field(5, struct(value));
const listValue = (value) => field(6, field(1, value));

/** `levels` of Structs or lists within a Struct, as bytes that libraries refuse to write. */
function nested(levels, level) {
  let value = Buffer.alloc(0);
  for (let i = 1; i < levels; i += 1) {
    value = level(value);
  }
  return struct(value);
}

module.exports = {
  'wire.get': async (scene) => {
    const layer = keyOf(scene, 'layer');
    await put(scene, 'layer');
    const { revision } = await put(scene, 'head', [layer]);
    const key = keyOf(scene, 'head');
    const plain = await canonical(scene, 'Get', { key });
    assert.equal(plain.entry.context.userId, 'u');
    const whole = await canonical(scene, 'Get', { key, includeLayers: true });
    assert.equal(whole.layers[0].context.userId, 'u');
    const cached = await canonical(scene, 'Get', { key, consistency: 2, includeLayers: true });
    assert.equal(cached.entry.context.userId, 'u');
    const known = await canonical(scene, 'Get', { key, knownVersion: revision });
    assert.deepEqual([known.entry.context, known.notModified], [null, true]);
  },

  'wire.batch_get': async (scene) => {
    await put(scene, 'layer');
    await put(scene, 'head', [keyOf(scene, 'layer')]);
    const requests = [
      { key: keyOf(scene, 'head'), includeLayers: true },
      { key: keyOf(scene, 'layer') },
      { key: keyOf(scene, 'none') },
    ];
    const { results } = await canonical(scene, 'BatchGet', { requests });
    assert.equal(results[0].response.layers[0].context.userId, 'u');
    assert.equal(results[1].response.entry.context.userId, 'u');
    assert.equal(results[2].error.code, 5);
  },

  'wire.writes': async (scene) => {
    const key = keyOf(scene, 'written');
    const { lease } = await canonical(scene, 'Lease', { key });
    await canonical(scene, 'Release', { key, leaseToken: lease.token });
    const written = await put(scene, 'written');
    assert.equal(String(written.entry.version), String(written.revision));
    assert.equal((await canonical(scene, 'Lease', { key })).entry.context.userId, 'u');
    await canonical(scene, 'Invalidate', { keys: { keys: [key] } });
  },

  'wire.watch': async (scene) => {
    await put(scene, 'watched');
    const stream = scene.rawWatch();
    stream.on('error', () => {});
    for (const [index, id] of ['watched', 'none'].entries()) {
      const subscribe = { key: keyOf(scene, id), number: index + 1 };
      stream.write(encoded('WatchRequest', { subscribe }));
    }
    const missing = new Set(['entry', 'invalidated', 'progress']);
    for await (const bytes of stream) {
      missing.delete(reread('WatchResponse', bytes).event);
      if (missing.size === 1 && missing.has('progress')) {
        // Only now: a position that is known earlier may come with an answer.
        stream.write(encoded('WatchRequest', { ping: { number: 1 } }));
      } else if (missing.size === 0) {
        break;
      }
    }
    assert.equal(missing.size, 0);
    stream.cancel();
  },

  'wire.undecodable': async (scene) => {
    for (const name of UNARY) {
      const asked = scene.rawCall('store', METHOD + name, UNDECODABLE);
      const failure = await fails(asked, 'INVALID_ARGUMENT', 'INVALID_FIELD');
      assert.deepEqual(fieldsOf(failure), ['request']);
    }
  },

  'wire.undecodable_watch': async (scene) => {
    const stream = scene.rawWatch();
    stream.write(UNDECODABLE);
    const ended = once(stream, 'never'); // rejects with the stream's error
    stream.resume();
    const failure = await fails(ended, 'INVALID_ARGUMENT', 'INVALID_FIELD');
    assert.deepEqual(fieldsOf(failure), ['request']);
  },

  'wire.too_deep': async (scene) => {
    const key = encoded('PutRequest', { key: keyOf(scene, 'deep') });
    for (const level of [structValue, listValue]) {
      for (const levels of [33, 50, 200]) {
        const request = Buffer.concat([key, field(2, field(8, nested(levels, level)))]);
        const put = scene.rawCall('store', `${METHOD}Put`, request);
        const failure = await fails(put, 'INVALID_ARGUMENT', 'INVALID_FIELD');
        assert.match(fieldsOf(failure)[0], /^context\.llm_config/);
      }
    }
  },

  'wire.many_violations': async (scene) => {
    const values = Array.from({ length: 500 }, () => ({ numberValue: NaN }));
    const llm_config = { fields: { a: { listValue: { values } } } };
    const put = scene.put(scene.key('many'), { llm_config });
    const failure = await fails(put, 'INVALID_ARGUMENT', 'INVALID_FIELD');
    const fields = fieldsOf(failure);
    assert.equal(fields[0], 'context.llm_config.a[0]');
    assert.equal(fields.length + Number(failure.metadata.violations_left_out), 500);
  },

  'newer.fields': async (scene) => {
    const options = { deadline: Date.now() + 10_000 };
    const answer = await call(scene.store('newer'), 'Get', { key: scene.key('a') }, options);
    const revision = String((1n << 60n) + 1n);
    assert.deepEqual([answer.entry.context.user_id, answer.entry.version], ['u', revision]);
    assert.equal(answer.revision, revision);
  },

  'newer.event': async (scene) => {
    const watching = scene.watch('newer');
    for (const _ of [1, 2, 3, 4]) {
      assert.equal((await watching.next()).event, 'reset');
    }
    assert.equal((await watching.next()).event, undefined);
    assert.equal(watching.revisions.get(3), (1n << 60n) + 1n);
    watching.close();
  },

  'newer.reset_reasons': async (scene) => {
    const watching = scene.watch('newer');
    const reasons = [];
    for (const _ of [1, 2, 3, 4]) {
      const { reset } = await watching.next();
      assert.equal(reset.partition, 5);
      reasons.push(reset.reason);
    }
    const known = ['LOG_TRIMMED', 'ORDER_CHANGED', 'SLOW_WATCHER'];
    assert.deepEqual(reasons, [...known.map((name) => `RESET_REASON_${name}`), 99]);
    watching.close();
  },
};
