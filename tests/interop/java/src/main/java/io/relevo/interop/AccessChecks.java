package io.relevo.interop;

import static io.relevo.interop.Expect.equal;
import static io.relevo.interop.Expect.fails;

import io.grpc.Channel;
import io.grpc.Status.Code;
import io.relevo.v1.ContextKey;
import io.relevo.v1.GetRequest;
import io.relevo.v1.GetResponse;
import io.relevo.v1.Subscribe;
import io.relevo.v1.WatchResponse;
import java.util.Map;

final class AccessChecks {
  private AccessChecks() {}

  static Map<String, Check> all() {
    return Map.of(
        "access.granted", AccessChecks::granted,
        "access.unauthenticated", AccessChecks::unauthenticated,
        "access.denied", AccessChecks::denied);
  }

  private static void granted(Scene scene) throws Exception {
    fails(() -> get(scene, scene.bearer(), "acme"), Code.NOT_FOUND, "NO_ENTRY");
    equal(watch(scene, scene.bearer(), "acme").next().getAnswers(), 1L);
  }

  private static void unauthenticated(Scene scene) throws Exception {
    Channel channel = scene.channel("guarded");
    fails(() -> get(scene, channel, "acme"), Code.UNAUTHENTICATED, "UNAUTHENTICATED");
    Watching watching = watch(scene, channel, "acme");
    fails(watching::next, Code.UNAUTHENTICATED, "UNAUTHENTICATED");
  }

  private static void denied(Scene scene) throws Exception {
    Failure failure =
        fails(
            () -> get(scene, scene.bearer(), "other"), Code.PERMISSION_DENIED, "TENANT_DENIED");
    equal(failure.metadata(), Map.of("tenant_id", "other"));
    Watching watching = watch(scene, scene.bearer(), "other");
    WatchResponse declined = watching.next();
    equal(declined.getAnswers(), 1L);
    equal(declined.getInvalidated().getIsChanged(), true);
  }

  private static GetResponse get(Scene scene, Channel channel, String tenant) {
    return new ContextStore(channel).get(GetRequest.newBuilder().setKey(key(tenant)).build());
  }

  private static Watching watch(Scene scene, Channel channel, String tenant) {
    Watching watching = new Watching(channel);
    watching.subscribe(Subscribe.newBuilder().setKey(key(tenant)).setNumber(1));
    return watching;
  }

  private static ContextKey key(String tenant) {
    return ContextKey.newBuilder().setScope("a").setTenantId(tenant).setId("c").build();
  }
}
