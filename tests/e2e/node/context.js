'use strict';

// The context of a call: read from the store, and composed.

const { status } = require('@grpc/grpc-js');
const { keyText } = require('./key');
const { readReference } = require('./reference');
const { Refusal } = require('./refusal');
const { call, reasonOf } = require('./store');
const { fromStruct } = require('./values');

const SECTIONS = [
  'llm_config', 'embedding_config', 'rag_config', 'agent_config', 'metadata', 'rate_limits',
];
const TIMEOUT_MS = 2000;
// How a call of the store ends that cannot be answered now.
const NOT_NOW = [status.UNAVAILABLE, status.CANCELLED, status.DEADLINE_EXCEEDED];
const NOT_NOW_REASONS = ['TOO_MANY_REQUESTS', 'QUOTA_EXCEEDED'];

/**
 * The context that a call refers to, and the reference for the calls that come of it;
 * null if it refers to none. Throws a Refusal if the context cannot be had.
 */
async function contextOf(incoming, store) {
  const asked = readReference(incoming.metadata);
  if (asked === null) {
    return null;
  }
  const request = { key: asked.key, min_revision: asked.revision, include_layers: true };
  // At most half of the call's time: some is left for what is done with the answer.
  const half = (Number(incoming.getDeadline()) + Date.now()) / 2;
  const deadline = Math.min(half, Date.now() + TIMEOUT_MS);
  const { entry, layers, revision } = await call(store, 'Get', request, { deadline }).catch(
    (error) => {
      // An error without a status is no answer, but a defect of this service.
      throw Number.isInteger(error.code) ? refusal(reasonOf(error), error.code) : error;
    },
  );
  return { context: composed(entry.context, layers), ref: { key: asked.key, revision } };
}

/** A context over its layers: section by section, key by key, the context itself last. */
function composed(head, layers) {
  const found = new Map(layers.map((layer) => [keyText(layer.key), layer.context]));
  const parts = [...head.includes.map((key) => found.get(keyText(key))), head];
  if (parts.includes(undefined)) {
    throw refusal('INCOMPLETE_CONTEXT');
  }
  const merged = (section) =>
    Object.fromEntries(parts.flatMap((part) => Object.entries(fromStruct(part[section]))));
  return { ...head, ...Object.fromEntries(SECTIONS.map((name) => [name, merged(name)])) };
}

/** How the call ends, by the reason and the status of the store's answer. */
function refusal(reason, code) {
  switch (reason) {
    case 'INVALID_FIELD':
      return new Refusal(status.INVALID_ARGUMENT, "the call's context reference is malformed");
    case 'NO_ENTRY':
      return new Refusal(status.FAILED_PRECONDITION, "the call's context does not exist");
    case 'INCOMPLETE_CONTEXT':
      return new Refusal(status.FAILED_PRECONDITION, "the call's context is incomplete");
    case 'STORE_BEHIND':
      return new Refusal(status.FAILED_PRECONDITION, "the call's context is newer than the store");
    default:
      if (NOT_NOW.includes(code) || NOT_NOW_REASONS.includes(reason)) {
        return new Refusal(status.UNAVAILABLE, "the call's context cannot be resolved now");
      }
      return new Refusal(status.INTERNAL, "the call's context could not be resolved");
  }
}

module.exports = { contextOf };
