'use strict';

// What owns agents' configurations, and writes them.

const { randomUUID } = require('node:crypto');
const { call } = require('./store');
const { toStruct } = require('./values');

const TIMEOUT_MS = 2000;

/** Write an agent's whole configuration. `expected`: only over this version. */
function put(store, key, llmConfig, expected) {
  const context = { agent_id: key.id, llm_config: toStruct(llmConfig, 'llm_config') };
  const precondition = expected === undefined ? {} : { if_version: expected };
  return write(store, { key, context, ...precondition });
}

/** Write some settings of a live configuration, and leave everything else in it. */
function change(store, key, settings) {
  const paths = Object.keys(settings).map((name) => `llm_config.${segment(name)}`);
  const context = { llm_config: toStruct(settings, 'llm_config') };
  return write(store, { key, context, update_mask: { paths } });
}

function segment(name) {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : `\`${name.replaceAll('`', '``')}\``;
}

/** The reference of what was written. */
async function write(store, request) {
  // With the request_id, a request that is sent again is the same Put.
  const once = { ...request, request_id: randomUUID() };
  const { revision } = await call(store, 'Put', once, { deadline: Date.now() + TIMEOUT_MS });
  return { key: request.key, revision };
}

module.exports = { change, put };
