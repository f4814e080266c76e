package io.relevo.interop;

import com.google.protobuf.InvalidProtocolBufferException;
import io.grpc.Status.Code;
import java.util.Objects;

/** What checks say. */
final class Expect {
  private Expect() {}

  /** Something that may fail. */
  interface Call {
    Object run() throws Exception;
  }

  static void holds(boolean condition, Object what) {
    if (!condition) {
      throw new AssertionError(what);
    }
  }

  static void equal(Object actual, Object expected) {
    holds(Objects.equals(actual, expected), actual + ", not " + expected);
  }

  /** How a call fails. */
  static Failure failureOf(Call call) throws InvalidProtocolBufferException {
    Object answer;
    try {
      answer = call.run();
    } catch (Exception error) {
      return Failure.of(error);
    }
    throw new AssertionError("the call was answered: " + answer);
  }

  /** See that a call fails so. */
  static Failure fails(Call call, Code code, String reason) throws InvalidProtocolBufferException {
    Failure failure = failureOf(call);
    holds(failure.code() == code && failure.reason().equals(reason), failure);
    return failure;
  }
}
