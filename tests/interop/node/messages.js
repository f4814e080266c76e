'use strict';

// The messages of the contract, and of google.rpc, as protobufjs reads them by itself.

const path = require('node:path');
const protobuf = require('protobufjs');

const ROOTS = [path.join(__dirname, '..', '..', '..', 'protos'), process.env.GOOGLEAPIS];

const root = new protobuf.Root();
const bundled = root.resolvePath;
root.resolvePath = (origin, target) => {
  if (target.startsWith('google/protobuf/')) {
    return bundled.call(root, origin, target);
  }
  return path.join(ROOTS[target.startsWith('google/') ? 1 : 0], target);
};
root.loadSync([
  'relevo/v1/store.proto',
  'google/rpc/status.proto',
  'google/rpc/error_details.proto',
]);

/** The type of a message, by its full name. */
function lookup(name) {
  return root.lookupType(name);
}

module.exports = { lookup };
