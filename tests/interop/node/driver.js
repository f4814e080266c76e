'use strict';

// Runs checks against a scene of servers, and prints one line of JSON for each:
// { "check": …, "problem": … }, without a problem if it holds. A check of the list that is not
// here has a problem, too.

const fs = require('node:fs');
const path = require('node:path');
const { Scene } = require('./scene');

const DATA = path.join(__dirname, '..');
const read = (name) => JSON.parse(fs.readFileSync(path.join(DATA, name), 'utf8'));

const { errorChecks } = require('./checks_errors');
const checks = {
  ...require('./checks_keys'),
  ...require('./checks_snapshots'),
  ...require('./checks_reads'),
  ...require('./checks_writes'),
  ...require('./checks_leases'),
  ...require('./checks_access'),
  ...require('./checks_wire'),
  ...require('./checks_watch'),
  ...require('./checks_references'),
  ...errorChecks(read('errors.json')),
};

async function problemOf(name, scene) {
  if (!(name in checks)) {
    return 'not implemented';
  }
  try {
    await checks[name](scene);
    return undefined;
  } catch (error) {
    return error.stack;
  }
}

async function main() {
  const [addresses, names] = process.argv.slice(2).map((text) => JSON.parse(text));
  for (const name of names) {
    const scene = new Scene(addresses, read('values.json'), name);
    console.log(JSON.stringify({ check: name, problem: await problemOf(name, scene) }));
    scene.close();
  }
  process.exit();
}

main();
