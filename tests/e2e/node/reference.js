'use strict';

// References in the metadata of calls.

const { Metadata, status } = require('@grpc/grpc-js');
const { InvalidKey, keyText, parseKey } = require('./key');
const { Refusal } = require('./refusal');

const KEY = 'context-key';
const REVISION = 'context-revision';
const MAX_BYTES = 512;
const MAX_REVISION = (1n << 63n) - 1n;

/** The metadata of a call that passes on another call's reference unchanged. */
function forwarded(incoming) {
  return outgoing(entriesOf(incoming));
}

/** The metadata of a call that carries a reference { key, revision }; a revision is text. */
function withReference({ key, revision }) {
  return outgoing(checked({ [KEY]: keyText(key), [REVISION]: revision }));
}

/** The reference { key, revision } that a call carries, null if it carries none. */
function readReference(incoming) {
  const { [KEY]: text, [REVISION]: revision = '0' } = entriesOf(incoming);
  if (text === undefined) {
    return null;
  }
  if (!/^[0-9]{1,19}$/.test(revision) || BigInt(revision) > MAX_REVISION) {
    throw malformed();
  }
  try {
    return { key: parseKey(text), revision };
  } catch (error) {
    throw error instanceof InvalidKey ? malformed() : error;
  }
}

/** The entries that a call carries, by name. A revision without a key is no entry. */
function entriesOf(incoming) {
  const names = incoming.get(KEY).length > 0 ? [KEY, REVISION] : [];
  const present = names.filter((name) => incoming.get(name).length > 0);
  return checked(Object.fromEntries(present.map((name) => [name, only(incoming.get(name))])));
}

/** The one value of an entry. */
function only(repeated) {
  // Node joins entries that come several times with commas, as HTTP allows.
  const values = new Set(repeated.flatMap((value) => value.split(',').map((one) => one.trim())));
  if (values.size > 1) {
    throw malformed();
  }
  return [...values][0];
}

function checked(entries) {
  if (Object.entries(entries).flat().join('').length > MAX_BYTES) {
    throw malformed();
  }
  return entries;
}

function outgoing(entries) {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(entries)) {
    metadata.set(name, value);
  }
  return metadata;
}

function malformed() {
  return new Refusal(status.INVALID_ARGUMENT, "the call's context reference is malformed");
}

module.exports = { forwarded, readReference, withReference };
