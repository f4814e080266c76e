'use strict';

// What a check talks to: the stores and the Python services, by name.

const grpc = require('@grpc/grpc-js');
const { call, contextStore } = require('../../e2e/node/store');
const { Watching } = require('./watching');

const SERVICE = '/relevo.test.Service';
const TIMEOUT_MS = 30_000;
const bytes = (buffer) => buffer;

class Scene {
  /** `addresses` by name; `values` of every kind; `check`, whose entries nobody else has. */
  constructor(addresses, values, check) {
    this.addresses = addresses;
    this.values = values;
    this.tenant = `${addresses.tenant} ${check}: größe & 100%`;
    this.clients = [];
  }

  /** A client of a store. */
  store(name = 'store') {
    return this.#opened(contextStore(this.addresses[name]));
  }

  key(id, scope = 'conversation') {
    return { scope, tenant_id: this.tenant, id };
  }

  call(method, request, metadata) {
    return call(this.store(), method, request, deadline(), metadata);
  }

  get(key, more = {}) {
    return this.call('Get', { key, ...more });
  }

  put(key, context, more = {}) {
    return this.call('Put', { key, context, ...more });
  }

  /** A Watch of a store. */
  watch(name = 'store', metadata = new grpc.Metadata()) {
    return new Watching(this.store(name).Watch(metadata, deadline()));
  }

  /** Ask a Python service. */
  async python(method, request = {}, { metadata, kind = 'asyncio' } = {}) {
    const asked = Buffer.from(JSON.stringify(request));
    const answer = await this.rawCall(kind, `${SERVICE}/${method}`, asked, metadata);
    return JSON.parse(answer.toString());
  }

  /** Let Python put a context: the revision. */
  async pythonPut(key, context) {
    return (await this.python('Put', { key, context })).revision;
  }

  /** A unary call of bytes. */
  rawCall(name, method, request, metadata = new grpc.Metadata()) {
    const client = this.#client(name);
    return new Promise((resolve, reject) => {
      const done = (error, response) => (error ? reject(error) : resolve(response));
      client.makeUnaryRequest(method, bytes, bytes, request, metadata, deadline(), done);
    });
  }

  /** A Watch of bytes, which are not decoded. */
  rawWatch(name = 'store') {
    const method = '/relevo.v1.ContextStore/Watch';
    const metadata = new grpc.Metadata();
    return this.#client(name).makeBidiStreamRequest(method, bytes, bytes, metadata, deadline());
  }

  close() {
    this.clients.forEach((client) => client.close());
  }

  #client(name) {
    const credentials = grpc.credentials.createInsecure();
    return this.#opened(new grpc.Client(this.addresses[name], credentials));
  }

  #opened(client) {
    this.clients.push(client);
    return client;
  }
}

function deadline() {
  return { deadline: Date.now() + TIMEOUT_MS };
}

module.exports = { Scene };
