'use strict';

const assert = require('node:assert/strict');
const { InvalidKey, keyText, parseKey } = require('../../e2e/node/key');
const vectors = require('../../contract/key_vectors.json');

const partsOf = ({ scope, tenant_id, id }) => ({ scope, tenant_id, id });

module.exports = {
  'keys.canonical': () => {
    for (const vector of vectors.canonical) {
      assert.equal(keyText(partsOf(vector)), vector.text);
      assert.deepEqual(parseKey(vector.text), partsOf(vector));
    }
  },

  'keys.also_read': () => {
    for (const vector of vectors.also_read) {
      assert.deepEqual(parseKey(vector.text), partsOf(vector));
    }
  },

  'keys.malformed': () => {
    for (const { text, why } of vectors.malformed) {
      assert.throws(() => parseKey(text), InvalidKey, why);
    }
  },
};
