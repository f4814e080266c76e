package io.relevo.interop;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Struct;
import com.google.protobuf.util.JsonFormat;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.relevo.v1.ContextKey;
import io.relevo.v1.ExecutionContext;
import io.relevo.v1.GetRequest;
import io.relevo.v1.GetResponse;
import io.relevo.v1.PutRequest;
import io.relevo.v1.PutResponse;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** What a check talks to: the stores and the Python services, by name. */
final class Scene implements AutoCloseable {
  final JsonObject addresses;
  final Files files;
  /** Whose entries no other check has. */
  final String tenant;

  private final Map<String, ManagedChannel> channels = new HashMap<>();

  Scene(JsonObject addresses, Files files, String check) {
    this.addresses = addresses;
    this.files = files;
    this.tenant = addresses.get("tenant").getAsString() + " " + check + ": größe & 100%";
  }

  @Override
  public void close() {
    channels.values().forEach(ManagedChannel::shutdownNow);
  }

  Channel channel(String name) {
    return channels.computeIfAbsent(
        name,
        each ->
            Grpc.newChannelBuilder(
                    addresses.get(each).getAsString(), InsecureChannelCredentials.create())
                .build());
  }

  ContextStore store() {
    return new ContextStore(channel("store"));
  }

  /** The guarded store, with the token that opens it. */
  Channel bearer() {
    String token = "Bearer " + addresses.get("token").getAsString();
    return with(channel("guarded"), Map.of("authorization", token));
  }

  static Channel with(Channel channel, Map<String, String> entries) {
    Metadata metadata = new Metadata();
    entries.forEach(
        (name, value) ->
            metadata.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value));
    return ClientInterceptors.intercept(
        channel, MetadataUtils.newAttachHeadersInterceptor(metadata));
  }

  ContextKey key(String id) {
    return key("conversation", id);
  }

  ContextKey key(String scope, String id) {
    return ContextKey.newBuilder().setScope(scope).setTenantId(tenant).setId(id).build();
  }

  static ExecutionContext user(String id) {
    return ExecutionContext.newBuilder().setUserId(id).build();
  }

  GetResponse get(ContextKey key) {
    return store().get(GetRequest.newBuilder().setKey(key).build());
  }

  PutResponse put(ContextKey key, ExecutionContext context) {
    return put(PutRequest.newBuilder().setKey(key).setContext(context));
  }

  PutResponse put(PutRequest.Builder request) {
    return store().put(request.build());
  }

  /** Values of every kind. */
  Struct values() throws IOException {
    return section(files.read("values.json"));
  }

  /** A Struct of plain values. */
  static Struct section(JsonElement values) throws InvalidProtocolBufferException {
    return section(values.toString());
  }

  static Struct section(String json) throws InvalidProtocolBufferException {
    Struct.Builder struct = Struct.newBuilder();
    JsonFormat.parser().merge(json, struct);
    return struct.build();
  }

  /** Ask a Python service. */
  JsonObject python(Channel channel, String method, JsonObject request) {
    byte[] asked = request.toString().getBytes(StandardCharsets.UTF_8);
    byte[] answer = rawCall(channel, "relevo.test.Service/" + method, asked);
    return new Gson().fromJson(new String(answer, StandardCharsets.UTF_8), JsonObject.class);
  }

  /** Let Python put a context: the revision. */
  long pythonPut(ContextKey key, JsonObject context) {
    JsonObject parts = new JsonObject();
    parts.addProperty("scope", key.getScope());
    parts.addProperty("tenant_id", key.getTenantId());
    parts.addProperty("id", key.getId());
    JsonObject request = new JsonObject();
    request.add("key", parts);
    request.add("context", context);
    return python(channel("asyncio"), "Put", request).get("revision").getAsLong();
  }

  /** A unary call with bytes. */
  static byte[] rawCall(Channel channel, String method, byte[] request) {
    return ClientCalls.blockingUnaryCall(
        channel, raw(MethodType.UNARY, method), ContextStore.options(), request);
  }

  /** A method that takes and answers bytes. */
  static MethodDescriptor<byte[], byte[]> raw(MethodType type, String method) {
    return MethodDescriptor.<byte[], byte[]>newBuilder()
        .setType(type)
        .setFullMethodName(method)
        .setRequestMarshaller(new Bytes())
        .setResponseMarshaller(new Bytes())
        .build();
  }

  private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] value) {
      return new ByteArrayInputStream(value);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }
}
