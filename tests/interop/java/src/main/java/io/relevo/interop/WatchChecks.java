package io.relevo.interop;

import static io.relevo.interop.Expect.equal;
import static io.relevo.interop.Expect.fails;
import static io.relevo.interop.Expect.holds;

import com.google.gson.JsonObject;
import com.google.protobuf.util.Durations;
import io.grpc.Status.Code;
import io.relevo.v1.ContextEntry;
import io.relevo.v1.ContextKey;
import io.relevo.v1.Invalidated;
import io.relevo.v1.Invalidated.TargetCase;
import io.relevo.v1.PutRequest;
import io.relevo.v1.PutResponse;
import io.relevo.v1.Reset;
import io.relevo.v1.ResetReason;
import io.relevo.v1.Subscribe;
import io.relevo.v1.TenantSelector;
import io.relevo.v1.Touch;
import io.relevo.v1.Unsubscribe;
import io.relevo.v1.WatchRequest;
import io.relevo.v1.WatchResponse;
import io.relevo.v1.WatchResponse.EventCase;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;

final class WatchChecks {
  private WatchChecks() {}

  static Map<String, Check> all() {
    return Map.ofEntries(
        Map.entry("watch.answers", WatchChecks::answers),
        Map.entry("watch.pushes", WatchChecks::pushes),
        Map.entry("watch.known_version", WatchChecks::knownVersion),
        Map.entry("watch.invalidated", WatchChecks::invalidated),
        Map.entry("watch.too_large", WatchChecks::tooLarge),
        Map.entry("watch.unsubscribed", WatchChecks::unsubscribed),
        Map.entry("watch.pings", WatchChecks::pings),
        Map.entry("watch.progress", WatchChecks::progress),
        Map.entry("watch.touch", WatchChecks::touch),
        Map.entry("watch.reset", WatchChecks::reset),
        Map.entry("watch.invalid_fields", WatchChecks::invalidFields),
        Map.entry("watch.stopping", WatchChecks::stopping));
  }

  private static void answers(Scene scene) throws Exception {
    ContextKey here = scene.key("here");
    ContextKey none = scene.key("none");
    long revision = scene.put(here, Scene.user("u")).getRevision();
    Watching watching = new Watching(scene.channel("store"));
    watching.subscribe(subscribe(here).setNumber(7));
    watching.subscribe(subscribe(none).setNumber(8));
    Map<Long, WatchResponse> answers = new HashMap<>();
    for (int i = 0; i < 2; i++) {
      WatchResponse answer = watching.next();
      answers.put(answer.getAnswers(), answer);
    }
    equal(answers.get(7L).getEventCase(), EventCase.ENTRY);
    ContextEntry entry = answers.get(7L).getEntry();
    equal(entry.getKey(), here);
    equal(entry.getVersion(), revision);
    equal(entry.getContext().getUserId(), "u");
    equal(answers.get(8L).getEventCase(), EventCase.INVALIDATED);
    equal(answers.get(8L).getInvalidated().getKey(), none);
    equal(answers.get(8L).getInvalidated().getIsChanged(), false);
  }

  private static void pushes(Scene scene) throws Exception {
    ContextKey key = scene.key("pushed");
    Watching watching = subscribed(scene, key);
    JsonObject context = new JsonObject();
    context.add("llm_config", scene.files.read("values.json"));
    long revision = scene.pythonPut(key, context);
    WatchResponse push = watching.next();
    equal(push.getAnswers(), 0L);
    equal(push.getEntry().getKey(), key);
    equal(push.getEntry().getVersion(), revision);
    equal(push.getEntry().getContext().getLlmConfig(), scene.values());
  }

  private static void knownVersion(Scene scene) throws Exception {
    ContextKey key = scene.key("known");
    long version = scene.put(key, Scene.user("u")).getRevision();
    Watching watching = new Watching(scene.channel("store"));
    watching.subscribe(subscribe(key).setKnownVersion(version));
    ContextEntry entry = watching.next().getEntry();
    equal(entry.getVersion(), version);
    holds(!entry.hasContext(), entry);
  }

  private static void invalidated(Scene scene) throws Exception {
    ContextKey key = scene.key("ended");
    scene.put(key, Scene.user("u"));
    Watching watching = subscribed(scene, key);
    long byKey = WriteChecks.invalidate(scene, key).getRevision();
    Invalidated one = watching.next().getInvalidated();
    equal(one.getTargetCase(), TargetCase.KEY);
    equal(one.getKey(), key);
    equal(one.getRevision(), byKey);
    long byTenant = WriteChecks.invalidateTenant(scene, "").getRevision();
    Invalidated all = watching.next().getInvalidated();
    equal(all.getTargetCase(), TargetCase.TENANT);
    equal(all.getTenant(), TenantSelector.newBuilder().setTenantId(scene.tenant).build());
    equal(all.getRevision(), byTenant);
  }

  private static void tooLarge(Scene scene) throws Exception {
    ContextKey key = scene.key("large");
    Watching watching = subscribed(scene, key);
    JsonObject context = new JsonObject();
    context.addProperty("user_id", "x".repeat(20_000));
    long revision = scene.pythonPut(key, context);
    Invalidated invalidated = watching.next().getInvalidated();
    equal(invalidated.getKey(), key);
    equal(invalidated.getIsChanged(), true);
    watching.subscribe(subscribe(key).setNumber(2));
    WatchResponse answer = watching.next();
    equal(answer.getAnswers(), 2L);
    equal(answer.getEntry().getVersion(), revision);
    equal(answer.getEntry().getContext().getUserId().length(), 20_000);
  }

  private static void unsubscribed(Scene scene) throws Exception {
    ContextKey left = scene.key("left");
    ContextKey kept = scene.key("kept");
    Watching watching = subscribed(scene, left);
    watching.subscribe(subscribe(kept).setNumber(2));
    watching.next();
    watching.ask(WatchRequest.newBuilder().setUnsubscribe(Unsubscribe.newBuilder().setKey(left)));
    watching.ping(1);
    watching.until(() -> watching.pings.containsValue(1L));
    scene.pythonPut(left, new JsonObject());
    long revision = scene.pythonPut(kept, new JsonObject());
    ContextEntry entry = watching.next().getEntry();
    equal(entry.getKey(), kept);
    equal(entry.getVersion(), revision);
  }

  private static void pings(Scene scene) throws Exception {
    Watching watching = subscribed(scene, scene.key("pinged"));
    for (long number : new long[] {1, 5}) {
      watching.ping(number);
      equal(watching.until(() -> watching.pings.containsValue(number)), 0);
    }
  }

  private static void progress(Scene scene) throws Exception {
    Watching watching = new Watching(scene.channel("store"));
    watching.subscribe(subscribe(scene.key("watched")));
    int partition = watching.next().getInvalidated().getPartition();
    PutResponse put = scene.put(scene.key("another"), Scene.user("u"));
    equal(put.getEntry().getPartition(), partition);
    int events =
        watching.until(
            () -> watching.revisions.getOrDefault(partition, 0L) >= put.getRevision());
    equal(events, 0);
  }

  private static void touch(Scene scene) throws Exception {
    ContextKey key = scene.key("touched");
    scene.put(
        PutRequest.newBuilder()
            .setKey(key)
            .setContext(Scene.user("u"))
            .setTtl(Durations.fromSeconds(100)));
    long before = left(scene, key);
    eventually(() -> left(scene, key) <= before - 20);
    long later = left(scene, key);
    Watching watching = subscribed(scene, key);
    watching.ask(WatchRequest.newBuilder().setTouch(Touch.newBuilder().setKey(key)));
    eventually(() -> left(scene, key) > later);
  }

  /** Ask again and again until a condition holds. */
  private static void eventually(BooleanSupplier condition) {
    long end = System.nanoTime() + 10_000_000_000L;
    while (!condition.getAsBoolean()) {
      holds(System.nanoTime() < end, "not within 10 s");
    }
  }

  /** Milliseconds that an entry has to live. */
  private static long left(Scene scene, ContextKey key) {
    return Durations.toMillis(scene.get(key).getEntry().getTtl());
  }

  private static void reset(Scene scene) throws Exception {
    ContextKey key = scene.key("ahead");
    long revision = scene.put(key, Scene.user("u")).getRevision();
    Watching watching = new Watching(scene.channel("store"));
    watching.subscribe(subscribe(key).setPosition(revision + (1L << 40)));
    Reset reset = watching.next().getReset();
    equal(reset.getReason(), ResetReason.RESET_REASON_ORDER_CHANGED);
    WatchResponse answer = watching.next();
    equal(answer.getAnswers(), 1L);
    equal(answer.getEntry().getVersion(), revision);
    equal(answer.getEntry().getPartition(), reset.getPartition());
  }

  private static void invalidFields(Scene scene) throws Exception {
    Watching watching = new Watching(scene.channel("store"));
    ContextKey key = ContextKey.newBuilder().setTenantId("a").setId("b").build();
    watching.subscribe(subscribe(key));
    Failure failure = fails(watching::next, Code.INVALID_ARGUMENT, "INVALID_FIELD");
    equal(failure.fields(), List.of("subscribe.key.scope"));
  }

  private static void stopping(Scene scene) throws Exception {
    Watching watching = new Watching(scene.channel("stopping"));
    watching.subscribe(subscribe(scene.key("a")));
    watching.next();
    scene.python(scene.channel("asyncio"), "Stop", new JsonObject());
    Failure failure = fails(watching::next, Code.UNAVAILABLE, "SERVER_STOPPING");
    equal(failure.retryAfter(), 500L);
  }

  private static Subscribe.Builder subscribe(ContextKey key) {
    return Subscribe.newBuilder().setKey(key).setNumber(1);
  }

  /** A Watch that is subscribed to a key; the answer has been read. */
  private static Watching subscribed(Scene scene, ContextKey key) throws Exception {
    Watching watching = new Watching(scene.channel("store"));
    watching.subscribe(subscribe(key));
    equal(watching.next().getAnswers(), 1L);
    return watching;
  }
}
