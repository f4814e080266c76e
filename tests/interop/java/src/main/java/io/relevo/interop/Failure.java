package io.relevo.interop;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.Durations;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import io.grpc.Status.Code;
import io.grpc.protobuf.StatusProto;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A google.rpc.Status, taken apart. `retryAfter` is in milliseconds, 0 for none. */
record Failure(
    Code code,
    String message,
    String reason,
    Map<String, String> metadata,
    List<List<String>> violations,
    long retryAfter) {

  /** How a call failed. */
  static Failure of(Exception error) throws InvalidProtocolBufferException {
    Status status = StatusProto.fromThrowable(error);
    if (status == null) {
      throw new AssertionError("not a failed call", error);
    }
    return in(status);
  }

  /** What a status says. It must have details. */
  static Failure in(Status status) throws InvalidProtocolBufferException {
    Expect.holds(status.getDetailsCount() > 0, "no details in " + status);
    ErrorInfo info = null;
    List<List<String>> violations = new ArrayList<>();
    long retryAfter = 0;
    for (Any detail : status.getDetailsList()) {
      if (detail.is(ErrorInfo.class)) {
        info = detail.unpack(ErrorInfo.class);
      } else if (detail.is(BadRequest.class)) {
        for (var each : detail.unpack(BadRequest.class).getFieldViolationsList()) {
          violations.add(List.of(each.getField(), each.getDescription()));
        }
      } else if (detail.is(RetryInfo.class)) {
        retryAfter = Durations.toMillis(detail.unpack(RetryInfo.class).getRetryDelay());
      } else {
        throw new AssertionError("a detail " + detail.getTypeUrl());
      }
    }
    Expect.holds(info != null, "no ErrorInfo in " + status);
    Expect.equal(info.getDomain(), "relevo");
    Code code = io.grpc.Status.fromCodeValue(status.getCode()).getCode();
    Map<String, String> metadata = info.getMetadataMap();
    return new Failure(
        code, status.getMessage(), info.getReason(), metadata, violations, retryAfter);
  }

  /** The paths of the fields that are malformed, sorted. */
  List<String> fields() {
    return violations.stream().map(violation -> violation.get(0)).sorted().toList();
  }
}
