'use strict';

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const vectors = require('../../contract/snapshot_vectors.json');

const TIMES = ['created_at', 'updated_at'];

/** The name of the snapshot that this is, with its times, and what it was composed from. */
function nameOf({ composed_from: refs, ...fields }) {
  const context = Object.fromEntries(
    Object.entries(fields).filter(
      ([name, value]) => !TIMES.includes(name) && Object.keys(value).length > 0,
    ),
  );
  const named = { composed_from: refs.map((ref) => ref.split('@')), context };
  return `sha256-${createHash('sha256').update(canonical(named)).digest('hex')}`;
}

/** RFC 8785: what JSON.stringify writes, with each object's names in the order of UTF-16. */
function canonical(value) {
  if (Array.isArray(value)) {
    return `[${value.map(canonical).join(',')}]`;
  }
  if (typeof value === 'object' && value !== null) {
    const members = Object.keys(value)
      .sort()
      .map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}

module.exports = {
  'snapshots.names': () => {
    for (const { name, context, id } of vectors) {
      assert.equal(nameOf(context), id, name);
    }
  },
};
