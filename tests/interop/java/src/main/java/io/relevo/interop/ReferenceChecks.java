package io.relevo.interop;

import static io.relevo.interop.Expect.equal;
import static io.relevo.interop.Expect.holds;

import com.google.gson.JsonObject;
import io.grpc.Channel;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.relevo.v1.ContextKey;
import io.relevo.v1.ExecutionContext;
import java.util.List;
import java.util.Map;

final class ReferenceChecks {
  private static final String KEY = "context-key";
  private static final String REVISION = "context-revision";
  private static final List<String> KINDS = List.of("asyncio", "blocking");

  private ReferenceChecks() {}

  static Map<String, Check> all() {
    return Map.of(
        "reference.handed_on", ReferenceChecks::handedOn,
        "reference.fence", ReferenceChecks::fence,
        "reference.none", ReferenceChecks::none,
        "reference.malformed", ReferenceChecks::malformed,
        "reference.unavailable", ReferenceChecks::unavailable);
  }

  /** What a Python service sees of a call with a reference. */
  static JsonObject see(Scene scene, String kind, ContextKey key, long revision)
      throws KeyText.InvalidKey {
    return see(scene, kind, Map.of(KEY, KeyText.of(key), REVISION, Long.toString(revision)));
  }

  private static JsonObject see(Scene scene, String kind, Map<String, String> metadata) {
    Channel channel = Scene.with(scene.channel(kind), metadata);
    return scene.python(channel, "See", new JsonObject());
  }

  private static void handedOn(Scene scene) throws Exception {
    ContextKey layer = scene.key("agent_config", "agent");
    ContextKey key = scene.key("head");
    ExecutionContext.Builder context = ExecutionContext.newBuilder().setUserId("layer");
    context.setLlmConfig(Scene.section("{\"a\": 1, \"b\": {\"c\": 1}}"));
    scene.put(layer, context.build());
    context.setUserId("head").addIncludes(layer);
    context.setLlmConfig(Scene.section("{\"b\": null, \"d\": \"größe\"}"));
    long revision = scene.put(key, context.build()).getRevision();
    for (String kind : KINDS) {
      JsonObject seen = see(scene, kind, key, revision);
      equal(seen.get("key").getAsString(), KeyText.of(key));
      holds(seen.get("revision").getAsLong() >= revision, seen);
      JsonObject found = seen.getAsJsonObject("context");
      equal(found.get("user_id").getAsString(), "head");
      equal(
          Scene.section(found.get("llm_config")),
          Scene.section("{\"a\": 1, \"b\": null, \"d\": \"größe\"}"));
    }
  }

  private static void fence(Scene scene) throws Exception {
    ContextKey key = scene.key("fence");
    for (String user : List.of("a", "b", "c", "d")) {
      long revision = scene.put(key, Scene.user(user)).getRevision();
      for (String kind : KINDS) {
        JsonObject context = see(scene, kind, key, revision).getAsJsonObject("context");
        equal(context.get("user_id").getAsString(), user);
      }
    }
  }

  private static void none(Scene scene) {
    for (String kind : KINDS) {
      for (Map<String, String> entries : List.of(Map.<String, String>of(), Map.of(REVISION, "7"))) {
        JsonObject seen = see(scene, kind, entries);
        holds(seen.get("key").isJsonNull() && seen.get("context").isJsonNull(), seen);
      }
    }
  }

  private static void malformed(Scene scene) {
    List<Map<String, String>> malformed =
        List.of(
            Map.of(KEY, "not a key", REVISION, "1"),
            Map.of(KEY, "a:b:%zz", REVISION, "1"),
            Map.of(KEY, "a:b:c", REVISION, "-1"));
    for (String kind : KINDS) {
      for (Map<String, String> entries : malformed) {
        refused(
            () -> see(scene, kind, entries),
            Code.INVALID_ARGUMENT,
            "the call's context reference is malformed");
      }
    }
  }

  private static void unavailable(Scene scene) throws Exception {
    ContextKey none = scene.key("none");
    ContextKey head = scene.key("head");
    ExecutionContext context =
        ExecutionContext.newBuilder().addIncludes(scene.key("layer")).build();
    long revision = scene.put(head, context).getRevision();
    Code code = Code.FAILED_PRECONDITION;
    for (String kind : KINDS) {
      refused(
          () -> see(scene, kind, none, revision), code, "the call's context does not exist");
      refused(
          () -> see(scene, kind, head, revision), code, "the call's context is incomplete");
      refused(
          () -> see(scene, kind, none, Long.MAX_VALUE),
          code,
          "the call's context is newer than the store");
    }
  }

  /** See that a call of a Python service ends so. */
  private static void refused(Expect.Call call, Code code, String text) {
    Object answer;
    try {
      answer = call.run();
    } catch (StatusRuntimeException error) {
      equal(error.getStatus().getCode(), code);
      equal(error.getStatus().getDescription(), text);
      return;
    } catch (Exception error) {
      throw new AssertionError("not a failed call", error);
    }
    throw new AssertionError("the call was answered: " + answer);
  }
}
