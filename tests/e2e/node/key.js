'use strict';

// The text form of keys: scope:tenant_id:id, each part percent-encoded.

const PARTS = ['scope', 'tenant_id', 'id'];
const MAX_PART_BYTES = 256;

/** What is malformed about a key, or about its text form. */
class InvalidKey extends Error {}

/** The one text form of a key. Throws InvalidKey. */
function keyText(key) {
  return PARTS.map((name) => encoded(checked(name, key[name]))).join(':');
}

/** The key that a text form names. Throws InvalidKey. */
function parseKey(text) {
  const parts = text.split(':');
  if (parts.length !== PARTS.length) {
    throw new InvalidKey('a key has the form scope:tenant_id:id');
  }
  return Object.fromEntries(PARTS.map((name, i) => [name, checked(name, decoded(parts[i]))]));
}

function checked(name, part) {
  if (typeof part !== 'string' || part === '') {
    throw new InvalidKey(`${name}: must be text that is not empty`);
  }
  // Cc: U+0000 to U+001F and U+007F to U+009F; Cs: half a surrogate pair.
  if (/[\p{Cc}\p{Cs}]/u.test(part)) {
    throw new InvalidKey(`${name}: must be Unicode without control characters`);
  }
  if (Buffer.byteLength(part) > MAX_PART_BYTES) {
    throw new InvalidKey(`${name}: must have at most ${MAX_PART_BYTES} bytes`);
  }
  return part;
}

function encoded(part) {
  // encodeURIComponent leaves five characters as they are that the text form does not.
  const escaped = (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(part).replace(/[!'()*]/g, escaped);
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new InvalidKey("'%' must begin an escape such as %3A, and escapes must be UTF-8");
  }
}

module.exports = { InvalidKey, keyText, parseKey };
