package io.relevo.interop;

import static io.relevo.interop.Expect.equal;
import static io.relevo.interop.Expect.holds;

import io.relevo.v1.GetRequest;
import io.relevo.v1.GetResponse;
import io.relevo.v1.Reset;
import io.relevo.v1.ResetReason;
import io.relevo.v1.WatchResponse.EventCase;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

final class NewerChecks {
  private static final long REVISION = (1L << 60) + 1;

  private NewerChecks() {}

  static Map<String, Check> all() {
    return Map.of(
        "newer.fields", NewerChecks::fields,
        "newer.event", NewerChecks::event,
        "newer.reset_reasons", NewerChecks::resetReasons);
  }

  private static void fields(Scene scene) {
    GetRequest request = GetRequest.newBuilder().setKey(scene.key("a")).build();
    GetResponse answer = new ContextStore(scene.channel("newer")).get(request);
    equal(answer.getEntry().getContext().getUserId(), "u");
    equal(answer.getEntry().getVersion(), REVISION);
    equal(answer.getRevision(), REVISION);
  }

  private static void event(Scene scene) throws Exception {
    Watching watching = new Watching(scene.channel("newer"));
    for (int i = 0; i < 4; i++) {
      holds(watching.next().hasReset(), "not a reset");
    }
    equal(watching.next().getEventCase(), EventCase.EVENT_NOT_SET);
    equal(watching.revisions.get(3), REVISION);
  }

  private static void resetReasons(Scene scene) throws Exception {
    Watching watching = new Watching(scene.channel("newer"));
    List<ResetReason> reasons = new ArrayList<>();
    Reset last = null;
    for (int i = 0; i < 4; i++) {
      last = watching.next().getReset();
      equal(last.getPartition(), 5);
      reasons.add(last.getReason());
    }
    equal(
        reasons,
        List.of(
            ResetReason.RESET_REASON_LOG_TRIMMED,
            ResetReason.RESET_REASON_ORDER_CHANGED,
            ResetReason.RESET_REASON_SLOW_WATCHER,
            ResetReason.UNRECOGNIZED));
    equal(last.getReasonValue(), 99);
  }
}
