package io.relevo.interop;

import io.relevo.v1.ContextKey;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/** The text form of keys: scope:tenant_id:id, each part percent-encoded. */
final class KeyText {
  private static final String UNRESERVED =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

  private KeyText() {}

  /** What is no key, or no text form of one. */
  static final class InvalidKey extends Exception {
    InvalidKey(String message) {
      super(message);
    }
  }

  static String of(ContextKey key) throws InvalidKey {
    return String.join(
        ":", encoded(key.getScope()), encoded(key.getTenantId()), encoded(key.getId()));
  }

  static ContextKey parse(String text) throws InvalidKey {
    String[] parts = text.split(":", -1);
    if (parts.length != 3) {
      throw new InvalidKey("a key has the form scope:tenant_id:id");
    }
    return ContextKey.newBuilder()
        .setScope(decoded(parts[0]))
        .setTenantId(decoded(parts[1]))
        .setId(decoded(parts[2]))
        .build();
  }

  private static String encoded(String part) throws InvalidKey {
    StringBuilder text = new StringBuilder();
    for (byte each : checked(part)) {
      if (UNRESERVED.indexOf(each) >= 0) {
        text.append((char) each);
      } else {
        text.append(String.format("%%%02X", each));
      }
    }
    return text.toString();
  }

  private static String decoded(String text) throws InvalidKey {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    byte[] encoded = utf8(text);
    for (int i = 0; i < encoded.length; i++) {
      if (encoded[i] != '%') {
        bytes.write(encoded[i]);
      } else if (i + 2 < encoded.length) {
        bytes.write(digit(encoded[++i]) << 4 | digit(encoded[++i]));
      } else {
        throw new InvalidKey("an escape without two digits");
      }
    }
    try {
      ByteBuffer decoded = ByteBuffer.wrap(bytes.toByteArray());
      String part = StandardCharsets.UTF_8.newDecoder().decode(decoded).toString();
      checked(part);
      return part;
    } catch (CharacterCodingException error) {
      throw new InvalidKey("escapes that are no UTF-8");
    }
  }

  private static int digit(byte character) throws InvalidKey {
    int value = character < 0 ? -1 : Character.digit(character, 16);
    if (value < 0) {
      throw new InvalidKey("an escape without two digits");
    }
    return value;
  }

  /** The bytes of a part that keeps the rules. */
  private static byte[] checked(String part) throws InvalidKey {
    byte[] bytes = utf8(part);
    if (bytes.length < 1 || bytes.length > 256) {
      throw new InvalidKey("a part has 1 to 256 bytes");
    }
    if (part.codePoints().anyMatch(each -> Character.getType(each) == Character.CONTROL)) {
      throw new InvalidKey("a part has no control characters");
    }
    return bytes;
  }

  private static byte[] utf8(String text) throws InvalidKey {
    try {
      ByteBuffer buffer = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
      byte[] bytes = new byte[buffer.remaining()];
      buffer.get(bytes);
      return bytes;
    } catch (CharacterCodingException error) {
      throw new InvalidKey("half a character");
    }
  }
}
