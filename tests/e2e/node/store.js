'use strict';

// The client of a ContextStore.

const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const ROOT = path.join(__dirname, '..', '..', '..');

const definitions = protoLoader.loadSync(
  ['relevo/v1/store.proto', 'relevo/demo/v1/rag_platform.proto'],
  {
    includeDirs: [path.join(ROOT, 'protos'), path.join(ROOT, 'examples', 'protos')],
    keepCase: true,
    longs: String, // a revision does not fit into a number
    enums: String,
    defaults: true,
    oneofs: true,
  },
);
const { relevo } = grpc.loadPackageDefinition(definitions);

// google.rpc.ErrorInfo, which does not come with Node's libraries.
const { 'google.rpc.ErrorInfo': ErrorInfo } = protoLoader.fromJSON({
  nested: {
    'google.rpc': {
      nested: {
        ErrorInfo: {
          fields: {
            reason: { type: 'string', id: 1 },
            domain: { type: 'string', id: 2 },
            metadata: { keyType: 'string', type: 'string', id: 3 },
          },
        },
      },
    },
  },
});

const OPTIONS = {
  'grpc.service_config': JSON.stringify({
    methodConfig: [
      {
        name: [{ service: 'relevo.v1.ContextStore' }],
        retryPolicy: {
          maxAttempts: 3,
          initialBackoff: '0.05s',
          maxBackoff: '0.5s',
          backoffMultiplier: 3,
          // A server that stops may end the last calls as CANCELLED.
          retryableStatusCodes: ['UNAVAILABLE', 'CANCELLED'],
        },
      },
    ],
  }),
  // A context with its layers may have more than the 4 MiB that are the default.
  'grpc.max_receive_message_length': -1,
  // Notice a silent peer. The store allows a ping every 5 s.
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 5_000,
};

/** A client of the store at this address. */
function contextStore(address) {
  return new relevo.v1.ContextStore(address, grpc.credentials.createInsecure(), OPTIONS);
}

/** A unary call, as a promise. `options` are gRPC's own; `deadline` above all. */
function call(client, method, request, options, metadata = new grpc.Metadata()) {
  return new Promise((resolve, reject) => {
    client[method](request, metadata, options, (error, response) => {
      if (error) {
        reject(error);
      } else {
        resolve(response);
      }
    });
  });
}

/** Why the store refused a call: an ErrorReason without its prefix; undefined if it did not. */
function reasonOf(error) {
  const [bytes] = error.metadata?.get('grpc-status-details-bin') ?? [];
  if (bytes === undefined) {
    return undefined;
  }
  // relevo.v1.Error has the fields of google.rpc.Status.
  const { details } = definitions['relevo.v1.Error'].deserialize(bytes);
  const infos = details
    .filter((detail) => detail.type_url.endsWith('/google.rpc.ErrorInfo'))
    .map((detail) => ErrorInfo.deserialize(detail.value));
  return infos.find((info) => info.domain === 'relevo')?.reason;
}

module.exports = { call, contextStore, reasonOf, relevo };
