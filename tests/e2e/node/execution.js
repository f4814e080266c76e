'use strict';

// A service that only forwards: it never looks at the context of its calls.

const grpc = require('@grpc/grpc-js');
const { observation } = require('./observation');
const { forwarded } = require('./reference');
const { options, serve } = require('./serving');
const { call, relevo } = require('./store');

const query = new relevo.demo.v1.QueryService(options.query, grpc.credentials.createInsecure());

async function runAgent(incoming) {
  const request = { text: incoming.request.text };
  const metadata = forwarded(incoming.metadata);
  const deadline = incoming.getDeadline();
  const found = await call(query, 'Search', request, { deadline }, metadata);
  const observations = [observation('execution', incoming), ...found.observations];
  return { text: request.text, observations };
}

serve(relevo.demo.v1.ExecutionService, { runAgent });
