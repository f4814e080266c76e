'use strict';

const { Metadata } = require('@grpc/grpc-js');
const assert = require('node:assert/strict');
const { call } = require('../../e2e/node/store');
const { fails } = require('./failures');

const subscribe = (tenant) => ({ key: { scope: 'a', tenant_id: tenant, id: 'c' }, number: 1 });

function get(scene, tenant, metadata) {
  const request = { key: { scope: 'a', tenant_id: tenant, id: 'c' } };
  const options = { deadline: Date.now() + 10_000 };
  return call(scene.store('guarded'), 'Get', request, options, metadata);
}

function bearer(scene) {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${scene.addresses.token}`);
  return metadata;
}

module.exports = {
  'access.granted': async (scene) => {
    await fails(get(scene, 'acme', bearer(scene)), 'NOT_FOUND', 'NO_ENTRY');
    const watching = scene.watch('guarded', bearer(scene));
    watching.ask({ subscribe: subscribe('acme') });
    assert.equal((await watching.next()).answers, '1');
    watching.close();
  },

  'access.unauthenticated': async (scene) => {
    await fails(get(scene, 'acme'), 'UNAUTHENTICATED', 'UNAUTHENTICATED');
    const watching = scene.watch('guarded');
    await fails(watching.next(), 'UNAUTHENTICATED', 'UNAUTHENTICATED');
  },

  'access.denied': async (scene) => {
    const denied = get(scene, 'other', bearer(scene));
    const failure = await fails(denied, 'PERMISSION_DENIED', 'TENANT_DENIED');
    assert.deepEqual(failure.metadata, { tenant_id: 'other' });
    const watching = scene.watch('guarded', bearer(scene));
    watching.ask({ subscribe: subscribe('other') });
    const { answers, invalidated } = await watching.next();
    assert.deepEqual([answers, invalidated.is_changed], ['1', true]);
    watching.close();
  },
};
