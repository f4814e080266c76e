'use strict';

// How calls fail: the google.rpc.Status in the trailer, taken apart.

const assert = require('node:assert/strict');
const { status } = require('@grpc/grpc-js');
const { lookup } = require('./messages');

const DETAILS = 'grpc-status-details-bin';

/** How a call fails. Throws if it is answered. */
async function failureOf(promise) {
  const error = await promise.then(
    () => assert.fail('the call was answered'),
    (reason) => reason,
  );
  if (!Number.isInteger(error.code)) {
    throw error;
  }
  const trailers = error.metadata.get(DETAILS);
  assert.equal(trailers.length, 1, `details of ${error.message}`);
  const failure = failureIn(trailers[0]);
  assert.equal(failure.status, status[error.code]);
  assert.equal(failure.message, error.details);
  return failure;
}

/** What the bytes of a google.rpc.Status say. */
function failureIn(bytes) {
  const { code, message, details } = lookup('google.rpc.Status').decode(bytes);
  const failure = { status: status[code], message, metadata: {}, violations: [] };
  for (const { type_url: url, value } of details) {
    const name = url.replace('type.googleapis.com/', '');
    const detail = lookup(name).decode(value);
    switch (name) {
      case 'google.rpc.ErrorInfo':
        assert.equal(detail.domain, 'relevo');
        Object.assign(failure, { reason: detail.reason, metadata: { ...detail.metadata } });
        break;
      case 'google.rpc.BadRequest':
        failure.violations = detail.fieldViolations.map((one) => [one.field, one.description]);
        break;
      case 'google.rpc.RetryInfo':
        failure.retryAfterMs =
          Number(detail.retryDelay.seconds) * 1000 + detail.retryDelay.nanos / 1e6;
        break;
      default:
        assert.fail(`a detail of type ${url}`);
    }
  }
  return failure;
}

/** See that a call fails so: its failure. */
async function fails(promise, code, reason) {
  const failure = await failureOf(promise);
  assert.deepEqual([failure.status, failure.reason], [code, reason]);
  return failure;
}

/** The paths of the fields that are malformed. */
function fieldsOf(failure) {
  return failure.violations.map(([field]) => field);
}

module.exports = { failureIn, failureOf, fails, fieldsOf };
