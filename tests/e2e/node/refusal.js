'use strict';

/** How a call ends that cannot be answered: a status, and a text that tells no internals. */
class Refusal extends Error {
  constructor(code, details) {
    super(details);
    this.code = code;
    this.details = details;
  }
}

module.exports = { Refusal };
