'use strict';

// A process that serves one service on a free port until SIGTERM.

const { parseArgs } = require('node:util');
const { Server, ServerCredentials, status } = require('@grpc/grpc-js');

/** Addresses of the store and of the services that this one calls. */
const { values: options } = parseArgs({
  options: {
    store: { type: 'string' },
    query: { type: 'string' },
    embedding: { type: 'string' },
  },
});

/** Serve, with async functions of the call for methods, and print the address. */
function serve({ service }, methods) {
  const server = new Server();
  const handlers = Object.entries(methods).map(([name, answer]) => [name, unary(answer)]);
  server.addService(service, Object.fromEntries(handlers));
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
    if (error) {
      throw error;
    }
    console.log(`127.0.0.1:${port}`);
  });
  // What this process calls keeps connections open, so it has to end by itself.
  process.once('SIGTERM', () => server.tryShutdown(() => process.exit()));
}

function unary(answer) {
  return (call, callback) => {
    answer(call).then(
      (response) => callback(null, response),
      (error) => callback(statusOf(error)),
    );
  };
}

/** A refusal, or what another service answered, is passed on; anything else is a defect. */
function statusOf(error) {
  if (Number.isInteger(error.code)) {
    return { code: error.code, details: error.details };
  }
  console.error(error);
  return { code: status.INTERNAL, details: 'a defect of this service' };
}

module.exports = { options, serve };
