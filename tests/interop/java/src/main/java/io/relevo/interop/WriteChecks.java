package io.relevo.interop;

import static io.relevo.interop.Expect.equal;
import static io.relevo.interop.Expect.fails;
import static io.relevo.interop.Expect.holds;

import com.google.protobuf.FieldMask;
import com.google.protobuf.Timestamp;
import com.google.protobuf.util.Durations;
import com.google.protobuf.util.Timestamps;
import io.grpc.Status.Code;
import io.relevo.v1.ContextKey;
import io.relevo.v1.ContextKeys;
import io.relevo.v1.ExecutionContext;
import io.relevo.v1.InvalidateRequest;
import io.relevo.v1.InvalidateResponse;
import io.relevo.v1.PutRequest;
import io.relevo.v1.PutResponse;
import io.relevo.v1.TenantSelector;
import java.util.List;
import java.util.Map;

final class WriteChecks {
  private WriteChecks() {}

  static Map<String, Check> all() {
    return Map.ofEntries(
        Map.entry("put.values", WriteChecks::values),
        Map.entry("put.mask", WriteChecks::mask),
        Map.entry("put.if_version", WriteChecks::ifVersion),
        Map.entry("put.if_absent", WriteChecks::ifAbsent),
        Map.entry("put.request_id", WriteChecks::requestId),
        Map.entry("put.ttl", WriteChecks::ttl),
        Map.entry("put.create_time", WriteChecks::createTime),
        Map.entry("put.too_large", WriteChecks::tooLarge),
        Map.entry("invalidate.keys", WriteChecks::invalidateKeys),
        Map.entry("invalidate.tenant", WriteChecks::invalidateTenant),
        Map.entry("invalidate.request_id", WriteChecks::invalidateOnce));
  }

  /** End entries by their keys. */
  static InvalidateResponse invalidate(Scene scene, ContextKey... keys) {
    ContextKeys.Builder target = ContextKeys.newBuilder().addAllKeys(List.of(keys));
    return scene.store().invalidate(InvalidateRequest.newBuilder().setKeys(target).build());
  }

  /** End all entries of the scene's tenant, or of one scope of it. */
  static InvalidateResponse invalidateTenant(Scene scene, String scope) {
    TenantSelector.Builder target =
        TenantSelector.newBuilder().setTenantId(scene.tenant).setScope(scope);
    return scene.store().invalidate(InvalidateRequest.newBuilder().setTenant(target).build());
  }

  private static void values(Scene scene) throws Exception {
    ContextKey key = scene.key("values");
    ExecutionContext context =
        ExecutionContext.newBuilder().setLlmConfig(scene.values()).build();
    long revision = scene.put(key, context).getRevision();
    var seen = ReferenceChecks.see(scene, "asyncio", key, revision);
    equal(Scene.section(seen.getAsJsonObject("context").get("llm_config")), scene.values());
  }

  private static void mask(Scene scene) throws Exception {
    ContextKey key = scene.key("masked");
    scene.put(
        key,
        ExecutionContext.newBuilder()
            .setUserId("u")
            .setSessionId("s")
            .setLlmConfig(Scene.section("{\"keep\": 1, \"top-p\": 2, \"clear\": 3}"))
            .build());
    List<String> paths = List.of("llm_config.`top-p`", "llm_config.clear", "session_id");
    scene.put(
        PutRequest.newBuilder()
            .setKey(key)
            .setContext(
                ExecutionContext.newBuilder().setLlmConfig(Scene.section("{\"top-p\": 4}")))
            .setUpdateMask(FieldMask.newBuilder().addAllPaths(paths)));
    ExecutionContext context = scene.get(key).getEntry().getContext();
    equal(List.of(context.getUserId(), context.getSessionId()), List.of("u", ""));
    equal(context.getLlmConfig(), Scene.section("{\"keep\": 1, \"top-p\": 4}"));
  }

  private static void ifVersion(Scene scene) throws Exception {
    ContextKey key = scene.key("version");
    long first = scene.put(key, Scene.user("u")).getRevision();
    PutRequest.Builder request = put(key).setIfVersion(first);
    PutResponse second = scene.put(request);
    equal(second.getEntry().getVersion(), second.getRevision());
    holds(!second.getEntry().hasContext(), second);
    Failure failure = fails(() -> scene.put(request), Code.ABORTED, "VERSION_MISMATCH");
    equal(failure.metadata().get("current_version"), Long.toString(second.getRevision()));
  }

  private static void ifAbsent(Scene scene) throws Exception {
    PutRequest.Builder request = put(scene.key("absent")).setIfAbsent(true);
    long revision = scene.put(request).getRevision();
    Failure failure = fails(() -> scene.put(request), Code.ABORTED, "ENTRY_EXISTS");
    equal(failure.metadata().get("current_version"), Long.toString(revision));
  }

  private static void requestId(Scene scene) throws Exception {
    PutRequest.Builder request = put(scene.key("once")).setRequestId("größe");
    long revision = scene.put(request).getRevision();
    equal(scene.put(request).getRevision(), revision);
    PutRequest.Builder other = request.setContext(Scene.user("another"));
    fails(() -> scene.put(other), Code.INVALID_ARGUMENT, "REQUEST_ID_REUSED");
  }

  private static void ttl(Scene scene) {
    scene.put(put(scene.key("ttl")).setTtl(Durations.fromMillis(90_500)));
    long left = Durations.toMillis(scene.get(scene.key("ttl")).getEntry().getTtl());
    holds(left > 60_000 && left <= 90_500, left);
  }

  private static void createTime(Scene scene) throws Exception {
    Timestamp time = Timestamps.parse("1969-07-20T20:17:40.123456Z");
    scene.put(scene.key("time"), ExecutionContext.newBuilder().setCreateTime(time).build());
    equal(scene.get(scene.key("time")).getEntry().getContext().getCreateTime(), time);
  }

  private static void tooLarge(Scene scene) throws Exception {
    ExecutionContext context = Scene.user("x".repeat(300_000));
    Failure failure =
        fails(
            () -> scene.put(scene.key("large"), context),
            Code.RESOURCE_EXHAUSTED,
            "CONTEXT_TOO_LARGE");
    equal(failure.metadata().get("limit_bytes"), "262144");
    holds(Long.parseLong(failure.metadata().get("size_bytes")) >= 300_000, failure);
  }

  private static void invalidateKeys(Scene scene) throws Exception {
    ContextKey here = scene.key("here");
    long revision = scene.put(here, Scene.user("u")).getRevision();
    InvalidateResponse ended = invalidate(scene, here, scene.key("none"));
    equal(ended.getInvalidatedCount(), 1);
    holds(ended.getRevision() > revision, ended);
    fails(() -> scene.get(here), Code.NOT_FOUND, "NO_ENTRY");
  }

  private static void invalidateTenant(Scene scene) throws Exception {
    ContextKey agent = scene.key("agent_config", "a");
    ContextKey conversation = scene.key("c");
    scene.put(agent, Scene.user("u"));
    scene.put(conversation, Scene.user("u"));
    invalidateTenant(scene, "agent_config");
    fails(() -> scene.get(agent), Code.NOT_FOUND, "NO_ENTRY");
    scene.get(conversation);
    invalidateTenant(scene, "");
    fails(() -> scene.get(conversation), Code.NOT_FOUND, "NO_ENTRY");
  }

  private static void invalidateOnce(Scene scene) {
    ContextKey key = scene.key("once");
    scene.put(key, Scene.user("u"));
    InvalidateRequest request =
        InvalidateRequest.newBuilder()
            .setKeys(ContextKeys.newBuilder().addKeys(key))
            .setRequestId("größe")
            .build();
    InvalidateResponse first = scene.store().invalidate(request);
    long revision = scene.put(key, Scene.user("u")).getRevision();
    equal(scene.store().invalidate(request), first);
    equal(scene.get(key).getEntry().getVersion(), revision);
  }

  private static PutRequest.Builder put(ContextKey key) {
    return PutRequest.newBuilder().setKey(key).setContext(Scene.user("u"));
  }
}
