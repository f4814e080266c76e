'use strict';

const assert = require('node:assert/strict');
const { Metadata, status } = require('@grpc/grpc-js');
const { keyText } = require('../../e2e/node/key');
const { withReference } = require('../../e2e/node/reference');
const { fromStruct, toStruct } = require('../../e2e/node/values');

const KINDS = ['asyncio', 'blocking'];
const NEWEST = String((1n << 63n) - 1n);

/** What each Python service sees of a call with this metadata. */
async function seen(scene, metadata) {
  const answers = [];
  for (const kind of KINDS) {
    answers.push(await scene.python('See', {}, { metadata, kind }));
  }
  return answers;
}

/** See that a call with this metadata ends so in each Python service. */
async function refused(scene, metadata, code, text) {
  for (const kind of KINDS) {
    await assert.rejects(scene.python('See', {}, { metadata, kind }), { code, details: text });
  }
}

const unavailable = (scene, ref, text) =>
  refused(scene, withReference(ref), status.FAILED_PRECONDITION, text);

module.exports = {
  'reference.handed_on': async (scene) => {
    const [layer, key] = [scene.key('agent', 'agent_config'), scene.key('head')];
    const config = (object) => toStruct(object, 'llm_config');
    await scene.put(layer, { user_id: 'layer', llm_config: config({ a: 1, b: { c: 1 } }) });
    const head = { user_id: 'head', llm_config: config({ b: null, d: 'größe' }) };
    const { revision } = await scene.put(key, { ...head, includes: [layer] });
    for (const { key: text, revision: fence, context } of await seen(
      scene,
      withReference({ key, revision }),
    )) {
      assert.equal(text, keyText(key));
      assert.ok(BigInt(fence) >= BigInt(revision));
      assert.equal(context.user_id, 'head');
      assert.deepEqual(context.llm_config, { a: 1, b: null, d: 'größe' });
    }
    const { entry } = await scene.get(key);
    assert.deepEqual(fromStruct(entry.context.llm_config), { b: null, d: 'größe' });
  },

  'reference.fence': async (scene) => {
    const key = scene.key('fence');
    for (const user_id of ['a', 'b', 'c', 'd']) {
      const { revision } = await scene.put(key, { user_id });
      for (const { context } of await seen(scene, withReference({ key, revision }))) {
        assert.equal(context.user_id, user_id);
      }
    }
  },

  'reference.none': async (scene) => {
    const nothing = { key: null, revision: null, context: null };
    const revision = new Metadata();
    revision.set('context-revision', '7');
    for (const metadata of [new Metadata(), revision]) {
      assert.deepEqual(await seen(scene, metadata), [nothing, nothing]);
    }
  },

  'reference.malformed': async (scene) => {
    const text = "the call's context reference is malformed";
    for (const [key, revision] of [['not a key', '1'], ['a:b:%zz', '1'], ['a:b:c', '-1']]) {
      const metadata = new Metadata();
      metadata.set('context-key', key);
      metadata.set('context-revision', revision);
      await refused(scene, metadata, status.INVALID_ARGUMENT, text);
    }
  },

  'reference.unavailable': async (scene) => {
    const [none, head] = [scene.key('none'), scene.key('head')];
    const { revision } = await scene.put(head, { includes: [scene.key('layer')] });
    const missing = { key: none, revision };
    await unavailable(scene, missing, "the call's context does not exist");
    const incomplete = { key: head, revision };
    await unavailable(scene, incomplete, "the call's context is incomplete");
    const ahead = { key: none, revision: NEWEST };
    await unavailable(scene, ahead, "the call's context is newer than the store");
  },
};
