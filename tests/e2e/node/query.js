'use strict';

// A service that reads the context of its calls.

const grpc = require('@grpc/grpc-js');
const { contextOf } = require('./context');
const { observation } = require('./observation');
const { withReference } = require('./reference');
const { Refusal } = require('./refusal');
const { options, serve } = require('./serving');
const { call, contextStore, relevo } = require('./store');

const store = contextStore(options.store);
const embedding = new relevo.demo.v1.EmbeddingService(
  options.embedding,
  grpc.credentials.createInsecure(),
);

async function search(incoming) {
  const found = await contextOf(incoming, store);
  if (found === null) {
    throw new Refusal(grpc.status.FAILED_PRECONDITION, 'the call names no context');
  }
  const request = { texts: [incoming.request.text] };
  const metadata = withReference(found.ref);
  const deadline = incoming.getDeadline();
  const embedded = await call(embedding, 'Embed', request, { deadline }, metadata);
  const observations = [observation('query', incoming, found), ...embedded.observations];
  return { passages: [], observations };
}

serve(relevo.demo.v1.QueryService, { search });
