'use strict';

// Calls functions, one JSON object a line: { "function": …, "arguments": […] }.

const readline = require('node:readline');
const agents = require('./agents');
const { keyText, parseKey } = require('./key');
const { contextStore, reasonOf } = require('./store');

const functions = {
  keyText,
  parseKey,
  put: (address, ...rest) => agents.put(contextStore(address), ...rest),
  change: (address, ...rest) => agents.change(contextStore(address), ...rest),
};

async function answer(question) {
  try {
    return { result: await functions[question.function](...question.arguments) };
  } catch (error) {
    return { error: error.constructor.name, message: error.message, reason: reasonOf(error) };
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line))));
  }
  process.exit();
}

main();
