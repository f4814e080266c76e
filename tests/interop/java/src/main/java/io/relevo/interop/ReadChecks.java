package io.relevo.interop;

import static io.relevo.interop.Expect.equal;
import static io.relevo.interop.Expect.fails;
import static io.relevo.interop.Expect.holds;

import com.google.gson.JsonObject;
import com.google.protobuf.Timestamp;
import com.google.protobuf.util.Durations;
import com.google.protobuf.util.Timestamps;
import com.google.rpc.Status;
import io.grpc.Status.Code;
import io.relevo.v1.BatchGetRequest;
import io.relevo.v1.BatchGetResult;
import io.relevo.v1.BatchGetResult.ResultCase;
import io.relevo.v1.Consistency;
import io.relevo.v1.ContextEntry;
import io.relevo.v1.ContextKey;
import io.relevo.v1.ExecutionContext;
import io.relevo.v1.GetRequest;
import io.relevo.v1.GetResponse;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

final class ReadChecks {
  private ReadChecks() {}

  static Map<String, Check> all() {
    return Map.ofEntries(
        Map.entry("get.entry", ReadChecks::entry),
        Map.entry("get.absent_parts", ReadChecks::absentParts),
        Map.entry("get.layers", ReadChecks::layers),
        Map.entry("get.layers_unasked", ReadChecks::layersUnasked),
        Map.entry("get.not_modified", ReadChecks::notModified),
        Map.entry("get.cached", ReadChecks::cached),
        Map.entry("get.fence", ReadChecks::fence),
        Map.entry("get.no_entry", ReadChecks::noEntry),
        Map.entry("get.invalid_fields", ReadChecks::invalidFields),
        Map.entry("batch_get.results", ReadChecks::results),
        Map.entry("batch_get.room", ReadChecks::room));
  }

  private static void entry(Scene scene) throws Exception {
    ContextKey key = scene.key("entry");
    JsonObject fields = new JsonObject();
    fields.addProperty("context_id", "c");
    fields.addProperty("user_id", "größe");
    fields.add("llm_config", scene.files.read("values.json"));
    long revision = scene.pythonPut(key, fields);
    GetResponse answer = scene.get(key);
    ContextEntry entry = answer.getEntry();
    equal(entry.getKey(), key);
    equal(entry.getVersion(), revision);
    holds(answer.getRevision() >= revision, answer);
    holds(answer.getLayersCount() == 0 && !answer.getNotModified(), answer);
    equal(entry.getContext().getContextId(), "c");
    equal(entry.getContext().getUserId(), "größe");
    equal(entry.getContext().getLlmConfig(), scene.values());
    double left = Durations.toSecondsAsDouble(entry.getTtl());
    holds(left > 1700 && left <= 1800, left);
    holds(isNow(Timestamps.subtract(entry.getExpireTime(), Durations.fromSeconds(1800))), entry);
    holds(isNow(entry.getContext().getUpdateTime()), entry);
  }

  private static void absentParts(Scene scene) {
    scene.put(scene.key("empty"), ExecutionContext.getDefaultInstance());
    ContextEntry entry = scene.get(scene.key("empty")).getEntry();
    holds(entry.hasContext(), entry);
    ExecutionContext context = entry.getContext();
    equal(context.getUserId(), "");
    holds(!context.hasLlmConfig() && context.getIncludesCount() == 0, context);
    holds(context.getCreateTime().getSeconds() > 0, context);
  }

  private static void layers(Scene scene) {
    List<ContextKey> includes =
        Stream.of("first", "missing", "second").map(id -> scene.key("agent_config", id)).toList();
    scene.put(includes.get(2), Scene.user("second"));
    scene.put(includes.get(0), Scene.user("first"));
    ExecutionContext head = ExecutionContext.newBuilder().addAllIncludes(includes).build();
    long revision = scene.put(scene.key("head"), head).getRevision();
    GetResponse answer =
        scene.store().get(get(scene.key("head")).setIncludeLayers(true).build());
    equal(answer.getEntry().getContext().getIncludesList(), includes);
    equal(idsOf(answer.getLayersList()), List.of("first", "second"));
    for (ContextEntry layer : answer.getLayersList()) {
      equal(layer.getContext().getUserId(), layer.getKey().getId());
    }
    holds(answer.getRevision() >= revision, answer);
  }

  private static void layersUnasked(Scene scene) {
    ContextKey layer = scene.key("agent_config", "layer");
    scene.put(layer, Scene.user("u"));
    scene.put(scene.key("head"), ExecutionContext.newBuilder().addIncludes(layer).build());
    GetResponse answer = scene.get(scene.key("head"));
    equal(answer.getEntry().getContext().getIncludesList(), List.of(layer));
    equal(answer.getLayersCount(), 0);
  }

  private static void notModified(Scene scene) {
    ContextKey key = scene.key("known");
    long version = scene.put(key, Scene.user("u")).getRevision();
    GetResponse answer = scene.store().get(get(key).setKnownVersion(version).build());
    holds(answer.getNotModified() && !answer.getEntry().hasContext(), answer);
    equal(answer.getEntry().getKey(), key);
    equal(answer.getEntry().getVersion(), version);
  }

  private static void cached(Scene scene) {
    ContextKey key = scene.key("cached");
    long revision = scene.put(key, Scene.user("u")).getRevision();
    GetRequest.Builder request =
        get(key).setMinRevision(revision).setConsistency(Consistency.CONSISTENCY_CACHED);
    for (int i = 0; i < 3; i++) {
      ContextEntry entry = scene.store().get(request.build()).getEntry();
      equal(entry.getVersion(), revision);
      equal(entry.getContext().getUserId(), "u");
    }
  }

  private static void fence(Scene scene) throws Exception {
    ContextKey key = scene.key("fence");
    long revision = scene.put(key, Scene.user("u")).getRevision();
    holds(revision > 1L << 53, revision);
    GetRequest.Builder request = get(key).setMinRevision(revision);
    equal(scene.store().get(request.build()).getEntry().getVersion(), revision);
    GetRequest above = request.setMinRevision(revision + 1).build();
    Failure failure =
        fails(() -> scene.store().get(above), Code.FAILED_PRECONDITION, "STORE_BEHIND");
    equal(failure.metadata().get("revision"), Long.toString(revision));
  }

  private static void noEntry(Scene scene) throws Exception {
    Failure failure = fails(() -> scene.get(scene.key("none")), Code.NOT_FOUND, "NO_ENTRY");
    equal(failure.metadata().size(), 1);
  }

  private static void invalidFields(Scene scene) throws Exception {
    ContextKey key = ContextKey.newBuilder().setTenantId("a").setId("\0").build();
    GetRequest request = get(key).setMinRevision(-1).setConsistencyValue(99).build();
    Failure failure =
        fails(() -> scene.store().get(request), Code.INVALID_ARGUMENT, "INVALID_FIELD");
    equal(failure.fields(), List.of("consistency", "key.id", "key.scope", "min_revision"));
    failure.violations().forEach(each -> holds(!each.get(1).isEmpty(), each));
  }

  private static void results(Scene scene) throws Exception {
    scene.put(scene.key("here"), Scene.user("u"));
    BatchGetRequest.Builder request = BatchGetRequest.newBuilder();
    for (String id : List.of("here", "none", "", "here")) {
      request.addRequests(get(scene.key(id)));
    }
    List<BatchGetResult> results = scene.store().batchGet(request.build()).getResultsList();
    ResultCase response = ResultCase.RESPONSE;
    ResultCase error = ResultCase.ERROR;
    equal(
        results.stream().map(BatchGetResult::getResultCase).toList(),
        List.of(response, error, error, response));
    for (int i : new int[] {0, 3}) {
      equal(results.get(i).getResponse().getEntry().getContext().getUserId(), "u");
    }
    Failure none = errorIn(results.get(1));
    equal(none.code(), Code.NOT_FOUND);
    equal(none.reason(), "NO_ENTRY");
    Failure invalid = errorIn(results.get(2));
    equal(invalid.reason(), "INVALID_FIELD");
    equal(invalid.fields(), List.of("key.id"));
  }

  private static void room(Scene scene) throws Exception {
    BatchGetRequest.Builder both = BatchGetRequest.newBuilder();
    for (String id : List.of("a", "b")) {
      scene.put(scene.key(id), Scene.user("x".repeat(60_000)));
      both.addRequests(get(scene.key(id)));
    }
    List<BatchGetResult> results = scene.store().batchGet(both.build()).getResultsList();
    ExecutionContext first = results.get(0).getResponse().getEntry().getContext();
    equal(first.getUserId().length(), 60_000);
    equal(errorIn(results.get(1)).reason(), "RESPONSE_TOO_LARGE");
    BatchGetRequest rest = BatchGetRequest.newBuilder().addRequests(get(scene.key("b"))).build();
    BatchGetResult again = scene.store().batchGet(rest).getResults(0);
    equal(again.getResponse().getEntry().getKey(), scene.key("b"));
  }

  private static GetRequest.Builder get(ContextKey key) {
    return GetRequest.newBuilder().setKey(key);
  }

  private static List<String> idsOf(List<ContextEntry> entries) {
    return entries.stream().map(entry -> entry.getKey().getId()).toList();
  }

  /** The error of a result, which has the fields of google.rpc.Status. */
  private static Failure errorIn(BatchGetResult result) throws Exception {
    return Failure.in(Status.parseFrom(result.getError().toByteString()));
  }

  private static boolean isNow(Timestamp time) {
    return Math.abs(Timestamps.toMillis(time) - System.currentTimeMillis()) < 100_000;
  }
}
