package io.relevo.interop;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.file.Path;

/** The files that all drivers have, in a folder. */
record Files(String folder) {
  JsonObject read(String name) throws IOException {
    return read(name, JsonObject.class);
  }

  <T> T read(String name, Class<T> type) throws IOException {
    String text = java.nio.file.Files.readString(Path.of(folder, name));
    return new Gson().fromJson(text, type);
  }
}
