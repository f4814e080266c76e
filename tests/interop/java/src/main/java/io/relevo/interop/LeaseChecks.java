package io.relevo.interop;

import static io.relevo.interop.Expect.equal;
import static io.relevo.interop.Expect.fails;
import static io.relevo.interop.Expect.holds;

import com.google.protobuf.util.Durations;
import io.grpc.Status.Code;
import io.relevo.v1.ContextKey;
import io.relevo.v1.Lease;
import io.relevo.v1.LeaseRequest;
import io.relevo.v1.LeaseResponse;
import io.relevo.v1.LeaseResponse.ResultCase;
import io.relevo.v1.PutRequest;
import io.relevo.v1.ReleaseRequest;
import java.util.Map;

final class LeaseChecks {
  private LeaseChecks() {}

  static Map<String, Check> all() {
    return Map.of(
        "lease.creates", LeaseChecks::creates,
        "lease.request_id", LeaseChecks::requestId,
        "lease.lost", LeaseChecks::lost,
        "lease.release", LeaseChecks::release,
        "lease.renew", LeaseChecks::renew);
  }

  private static void creates(Scene scene) throws Exception {
    ContextKey key = scene.key("created");
    Lease lease = lease(scene, asked(key));
    holds(!lease.getToken().isEmpty(), lease);
    long ttl = Durations.toMillis(lease.getTtl());
    holds(ttl > 0 && ttl <= 10_000, ttl);
    LeaseRequest wait = asked(key).setWait(Durations.fromMillis(20)).build();
    Failure failure = fails(() -> scene.store().lease(wait), Code.ABORTED, "LEASE_HELD");
    holds(failure.retryAfter() > 0 && failure.retryAfter() <= 10_000, failure);
    long revision = scene.put(put(key, lease)).getRevision();
    LeaseResponse after = scene.store().lease(asked(key).build());
    equal(after.getResultCase(), ResultCase.ENTRY);
    equal(after.getEntry().getVersion(), revision);
    equal(after.getEntry().getContext().getUserId(), "u");
  }

  private static void requestId(Scene scene) {
    LeaseRequest.Builder request = asked(scene.key("once")).setRequestId("größe");
    equal(lease(scene, request).getToken(), lease(scene, request).getToken());
  }

  private static void lost(Scene scene) throws Exception {
    ContextKey key = scene.key("lost");
    Lease lease = lease(scene, asked(key));
    WriteChecks.invalidate(scene, key);
    fails(() -> scene.put(put(key, lease)), Code.FAILED_PRECONDITION, "LEASE_LOST");
  }

  private static void release(Scene scene) {
    ContextKey key = scene.key("released");
    String token = lease(scene, asked(key)).getToken();
    scene.store().release(ReleaseRequest.newBuilder().setKey(key).setLeaseToken(token).build());
    holds(!lease(scene, asked(key)).getToken().equals(token), "the same lease");
  }

  private static void renew(Scene scene) {
    ContextKey key = scene.key("renewed");
    long revision = scene.put(key, Scene.user("u")).getRevision();
    Lease lease = lease(scene, asked(key).setRenewVersion(revision));
    holds(scene.put(put(key, lease)).getRevision() > revision, lease);
  }

  private static LeaseRequest.Builder asked(ContextKey key) {
    return LeaseRequest.newBuilder().setKey(key);
  }

  /** A lease that must be given. */
  private static Lease lease(Scene scene, LeaseRequest.Builder request) {
    LeaseResponse answer = scene.store().lease(request.build());
    equal(answer.getResultCase(), ResultCase.LEASE);
    return answer.getLease();
  }

  private static PutRequest.Builder put(ContextKey key, Lease lease) {
    return PutRequest.newBuilder()
        .setKey(key)
        .setContext(Scene.user("u"))
        .setLeaseToken(lease.getToken());
  }
}
