package io.relevo.interop;

import static io.relevo.interop.Expect.equal;
import static io.relevo.interop.Expect.failureOf;

import com.google.gson.Gson;
import io.grpc.Status.Code;
import io.relevo.v1.ContextKey;
import io.relevo.v1.GetRequest;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** A check for each reason: a store that fails with it, and what has to arrive of that. */
final class ErrorChecks {
  private ErrorChecks() {}

  /** What errors.json says of a reason; the names are the file's. */
  private static final class Expected {
    String status;
    Map<String, String> metadata;
    List<List<String>> violations;
    long retry_after_ms;
  }

  static Map<String, Check> all(Files files) throws IOException {
    Map<String, Check> checks = new HashMap<>();
    for (var each : files.read("errors.json").entrySet()) {
      Expected expected = new Gson().fromJson(each.getValue(), Expected.class);
      checks.put("error." + each.getKey(), scene -> check(scene, each.getKey(), expected));
    }
    return checks;
  }

  private static void check(Scene scene, String reason, Expected expected) throws Exception {
    ContextKey key =
        ContextKey.newBuilder().setScope("error").setTenantId("interop").setId(reason).build();
    GetRequest request = GetRequest.newBuilder().setKey(key).build();
    Failure failure =
        failureOf(() -> new ContextStore(scene.channel("failing")).get(request));
    equal(failure.code(), Code.valueOf(expected.status));
    equal(failure.reason(), reason);
    equal(failure.metadata(), Objects.requireNonNullElse(expected.metadata, Map.of()));
    equal(failure.violations(), Objects.requireNonNullElse(expected.violations, List.of()));
    equal(failure.retryAfter(), expected.retry_after_ms);
  }
}
