'use strict';

const assert = require('node:assert/strict');
const { call } = require('../../e2e/node/store');
const { failureOf } = require('./failures');

/** A check for each reason: a store that fails with it, and what has to arrive of that. */
function errorChecks(expected) {
  return Object.fromEntries(
    Object.entries(expected).map(([reason, error]) => [
      `error.${reason}`,
      async (scene) => {
        const key = { scope: 'error', tenant_id: 'interop', id: reason };
        const options = { deadline: Date.now() + 10_000 };
        const failure = await failureOf(call(scene.store('failing'), 'Get', { key }, options));
        assert.deepEqual(
          [failure.status, failure.reason, failure.metadata, failure.violations],
          [error.status, reason, error.metadata ?? {}, error.violations ?? []],
        );
        assert.equal(failure.retryAfterMs, error.retry_after_ms);
      },
    ]),
  );
}

module.exports = { errorChecks };
