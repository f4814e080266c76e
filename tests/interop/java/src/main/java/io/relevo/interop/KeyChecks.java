package io.relevo.interop;

import static io.relevo.interop.Expect.equal;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import io.relevo.v1.ContextKey;
import java.io.IOException;
import java.util.List;
import java.util.Map;

final class KeyChecks {
  private KeyChecks() {}

  static Map<String, Check> all() {
    return Map.of(
        "keys.canonical", KeyChecks::canonical,
        "keys.also_read", KeyChecks::alsoRead,
        "keys.malformed", KeyChecks::malformed);
  }

  private static void canonical(Scene scene) throws Exception {
    for (JsonObject vector : vectors(scene, "canonical")) {
      equal(KeyText.of(keyOf(vector)), textOf(vector));
      equal(KeyText.parse(textOf(vector)), keyOf(vector));
    }
  }

  private static void alsoRead(Scene scene) throws Exception {
    for (JsonObject vector : vectors(scene, "also_read")) {
      equal(KeyText.parse(textOf(vector)), keyOf(vector));
    }
  }

  private static void malformed(Scene scene) throws IOException {
    for (JsonObject vector : vectors(scene, "malformed")) {
      try {
        throw new AssertionError(vector + " was read as " + KeyText.parse(textOf(vector)));
      } catch (KeyText.InvalidKey refused) {
        continue;
      }
    }
  }

  private static List<JsonObject> vectors(Scene scene, String kind) throws IOException {
    JsonObject vectors = scene.files.read("../contract/key_vectors.json");
    return vectors.getAsJsonArray(kind).asList().stream().map(JsonElement::getAsJsonObject).toList();
  }

  private static String textOf(JsonObject vector) {
    return vector.get("text").getAsString();
  }

  private static ContextKey keyOf(JsonObject vector) {
    return ContextKey.newBuilder()
        .setScope(vector.get("scope").getAsString())
        .setTenantId(vector.get("tenant_id").getAsString())
        .setId(vector.get("id").getAsString())
        .build();
  }
}
