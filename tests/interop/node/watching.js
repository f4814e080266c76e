'use strict';

/** A Watch stream, read event by event. */
class Watching {
  #messages;

  constructor(stream) {
    this.stream = stream;
    this.revisions = new Map(); // by partition, as BigInt
    this.pings = new Map();
    stream.on('error', () => {}); // whoever reads next is told
    this.#messages = stream[Symbol.asyncIterator]();
  }

  /** Send a request: { subscribe: … }, { ping: … }. */
  ask(request) {
    this.stream.write(request);
  }

  /** The next message. Throws how the stream ends. */
  async message() {
    const { value, done } = await this.#messages.next();
    if (done) {
      throw new Error('the stream has ended well');
    }
    for (const { partition, revision, ping } of value.progress?.positions ?? value.positions) {
      this.revisions.set(partition, BigInt(revision));
      this.pings.set(partition, Number(ping));
    }
    return value;
  }

  /** The next message that is more than progress. */
  async next() {
    let message = await this.message();
    while (message.event === 'progress') {
      message = await this.message();
    }
    return message;
  }

  /** Read until a condition holds: the events that came. */
  async until(condition) {
    const events = [];
    while (!condition()) {
      const message = await this.message();
      if (message.event !== 'progress') {
        events.push(message);
      }
    }
    return events;
  }

  close() {
    this.stream.cancel();
  }
}

module.exports = { Watching };
