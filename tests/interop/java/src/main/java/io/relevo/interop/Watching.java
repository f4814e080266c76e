package io.relevo.interop;

import io.grpc.Channel;
import io.grpc.stub.StreamObserver;
import io.relevo.v1.Ping;
import io.relevo.v1.Position;
import io.relevo.v1.Subscribe;
import io.relevo.v1.WatchRequest;
import io.relevo.v1.WatchResponse;
import java.util.HashMap;
import java.util.Map;
import java.util.function.BooleanSupplier;

/** A Watch stream, read event by event. */
final class Watching {
  /** By partition. */
  final Map<Integer, Long> revisions = new HashMap<>();

  final Map<Integer, Long> pings = new HashMap<>();

  private final Queue<WatchResponse> messages = new Queue<>();
  private final StreamObserver<WatchRequest> requests;

  Watching(Channel channel) {
    requests = new ContextStore(channel).watch(messages);
  }

  void ask(WatchRequest.Builder request) {
    requests.onNext(request.build());
  }

  void subscribe(Subscribe.Builder subscribe) {
    ask(WatchRequest.newBuilder().setSubscribe(subscribe));
  }

  void ping(long number) {
    ask(WatchRequest.newBuilder().setPing(Ping.newBuilder().setNumber(number)));
  }

  WatchResponse message() throws Exception {
    WatchResponse message = messages.take();
    message.getPositionsList().forEach(this::reached);
    message.getProgress().getPositionsList().forEach(this::reached);
    return message;
  }

  /** The next message that is more than progress. */
  WatchResponse next() throws Exception {
    WatchResponse message = message();
    while (message.hasProgress()) {
      message = message();
    }
    return message;
  }

  /** Read until a condition holds: how many messages were more than progress. */
  int until(BooleanSupplier condition) throws Exception {
    int events = 0;
    while (!condition.getAsBoolean()) {
      events += message().hasProgress() ? 0 : 1;
    }
    return events;
  }

  private void reached(Position position) {
    revisions.put(position.getPartition(), position.getRevision());
    pings.put(position.getPartition(), position.getPing());
  }
}
