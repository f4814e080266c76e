package io.relevo.interop;

import io.grpc.stub.StreamObserver;
import java.util.concurrent.LinkedBlockingQueue;

/** Messages of a stream, to be read one by one. */
final class Queue<T> implements StreamObserver<T> {
  /** One of the two. */
  private record Item<T>(T message, Exception end) {}

  private final LinkedBlockingQueue<Item<T>> items = new LinkedBlockingQueue<>();

  /** The next message. Throws how the stream ends; that it does is up to its deadline. */
  T take() throws Exception {
    Item<T> item = items.take();
    if (item.end() != null) {
      throw item.end();
    }
    return item.message();
  }

  @Override
  public void onNext(T message) {
    items.add(new Item<>(message, null));
  }

  @Override
  public void onError(Throwable error) {
    items.add(new Item<>(null, (Exception) error));
  }

  @Override
  public void onCompleted() {
    items.add(new Item<>(null, new Exception("the stream has ended well")));
  }
}
