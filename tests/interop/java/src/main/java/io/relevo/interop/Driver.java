package io.relevo.interop;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * Runs checks against a scene of servers, and prints one line of JSON for each: {"check": …,
 * "problem": …}, without a problem if it holds. A check of the list that is not here has a problem,
 * too.
 */
public final class Driver {
  private Driver() {}

  /** Takes the scene's addresses by name, and the names of the checks, both as JSON. */
  public static void main(String[] arguments) throws Exception {
    Gson gson = new Gson();
    JsonObject addresses = gson.fromJson(arguments[0], JsonObject.class);
    Files files = new Files(addresses.get("data").getAsString());
    Map<String, Check> checks = checks(files);
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    for (String name : gson.fromJson(arguments[1], String[].class)) {
      JsonObject result = new JsonObject();
      result.addProperty("check", name);
      try (Scene scene = new Scene(addresses, files, name)) {
        result.addProperty("problem", problemOf(checks.get(name), scene));
      }
      out.println(gson.toJson(result));
    }
    System.exit(0);
  }

  private static Map<String, Check> checks(Files files) throws IOException {
    Map<String, Check> checks = new HashMap<>();
    checks.putAll(KeyChecks.all());
    checks.putAll(SnapshotChecks.all());
    checks.putAll(ReadChecks.all());
    checks.putAll(WriteChecks.all());
    checks.putAll(LeaseChecks.all());
    checks.putAll(AccessChecks.all());
    checks.putAll(WireChecks.all());
    checks.putAll(NewerChecks.all());
    checks.putAll(WatchChecks.all());
    checks.putAll(ReferenceChecks.all());
    checks.putAll(ErrorChecks.all(files));
    return checks;
  }

  private static String problemOf(Check check, Scene scene) {
    if (check == null) {
      return "not implemented";
    }
    try {
      check.run(scene);
      return null;
    } catch (Exception | AssertionError error) {
      StringWriter text = new StringWriter();
      error.printStackTrace(new PrintWriter(text));
      return text.toString();
    }
  }
}
