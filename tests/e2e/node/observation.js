'use strict';

/** What a service saw of a call: its reference as it came, and each field of its context. */
function observation(service, incoming, found) {
  const entries = Object.entries(incoming.metadata.toJSON());
  const reference = Object.fromEntries(entries.filter(([name]) => name.startsWith('context-')));
  const fields = { 'call metadata': reference, ...found?.context };
  return {
    service,
    pid: process.pid,
    revision: found?.ref.revision ?? 0,
    settings: Object.entries(fields).map(([path, value]) => ({
      path,
      value_json: JSON.stringify(value),
    })),
  };
}

module.exports = { observation };
