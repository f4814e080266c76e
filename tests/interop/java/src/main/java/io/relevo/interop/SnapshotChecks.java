package io.relevo.interop;

import static io.relevo.interop.Expect.equal;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Map;
import java.util.Set;
import org.erdtman.jcs.JsonCanonicalizer;

final class SnapshotChecks {
  private static final Set<String> NOT_NAMED = Set.of("composed_from", "created_at", "updated_at");

  private SnapshotChecks() {}

  static Map<String, Check> all() {
    return Map.of("snapshots.names", SnapshotChecks::names);
  }

  private static void names(Scene scene) throws Exception {
    String path = "../contract/snapshot_vectors.json";
    for (JsonElement vector : scene.files.read(path, JsonArray.class)) {
      JsonObject context = vector.getAsJsonObject().getAsJsonObject("context");
      equal(nameOf(context), vector.getAsJsonObject().get("id").getAsString());
    }
  }

  /** The name of the snapshot that this is, with its times, and what it was composed from. */
  private static String nameOf(JsonObject fields) throws Exception {
    JsonArray refs = new JsonArray();
    for (JsonElement ref : fields.getAsJsonArray("composed_from")) {
      JsonArray parts = new JsonArray();
      for (String part : ref.getAsString().split("@")) {
        parts.add(part);
      }
      refs.add(parts);
    }
    JsonObject context = new JsonObject();
    for (var field : fields.entrySet()) {
      if (!NOT_NAMED.contains(field.getKey()) && !isEmpty(field.getValue())) {
        context.add(field.getKey(), field.getValue());
      }
    }
    JsonObject named = new JsonObject();
    named.add("composed_from", refs);
    named.add("context", context);
    byte[] canonical = new JsonCanonicalizer(named.toString()).getEncodedUTF8();
    byte[] digest = MessageDigest.getInstance("SHA-256").digest(canonical);
    return "sha256-" + HexFormat.of().formatHex(digest);
  }

  private static boolean isEmpty(JsonElement value) {
    return value.isJsonObject()
        ? value.getAsJsonObject().isEmpty()
        : value.getAsString().isEmpty();
  }
}
