'use strict';

// google.protobuf.Struct, as proto-loader has it, and plain values.

/** The plain object that a Struct holds; an empty one for null. */
function fromStruct(struct) {
  // fromEntries, because with `object[name] = …` the name "__proto__" would be lost.
  return Object.fromEntries(
    Object.entries(struct?.fields ?? {}).map(([name, value]) => [name, fromValue(value)]),
  );
}

function fromValue(value) {
  switch (value.kind) {
    case 'nullValue':
      return null;
    case 'listValue':
      return value.listValue.values.map(fromValue);
    case 'structValue':
      return fromStruct(value.structValue);
    default:
      return value[value.kind];
  }
}

/** The Struct for a plain object. Throws TypeError, with the path, for what it cannot hold. */
function toStruct(object, path) {
  return {
    fields: Object.fromEntries(
      Object.entries(object).map(([name, value]) => {
        toValue(name, `the keys of ${path}`);
        return [name, toValue(value, `${path}.${name}`)];
      }),
    ),
  };
}

function toValue(value, path) {
  if (value === null) {
    return { nullValue: 'NULL_VALUE' };
  }
  if (typeof value === 'boolean') {
    return { boolValue: value };
  }
  if (typeof value === 'number' && Number.isFinite(value)) {
    return { numberValue: value };
  }
  if (typeof value === 'string' && !/\p{Cs}/u.test(value)) {
    return { stringValue: value };
  }
  if (Array.isArray(value)) {
    return { listValue: { values: value.map((item, i) => toValue(item, `${path}[${i}]`)) } };
  }
  if (Object.prototype.toString.call(value) === '[object Object]') {
    return { structValue: toStruct(value, path) };
  }
  throw new TypeError(`${path}: a section cannot hold this ${typeof value}`);
}

module.exports = { fromStruct, toStruct };
