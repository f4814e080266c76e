package io.relevo.interop;

import static io.relevo.interop.Expect.equal;
import static io.relevo.interop.Expect.fails;
import static io.relevo.interop.Expect.holds;

import com.google.protobuf.ByteString;
import com.google.protobuf.ListValue;
import com.google.protobuf.Message;
import com.google.protobuf.Parser;
import com.google.protobuf.Struct;
import com.google.protobuf.UnknownFieldSet;
import com.google.protobuf.Value;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Status.Code;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import io.relevo.v1.BatchGetRequest;
import io.relevo.v1.BatchGetResponse;
import io.relevo.v1.BatchGetResult;
import io.relevo.v1.Consistency;
import io.relevo.v1.ContextKey;
import io.relevo.v1.ContextKeys;
import io.relevo.v1.ExecutionContext;
import io.relevo.v1.GetRequest;
import io.relevo.v1.GetResponse;
import io.relevo.v1.InvalidateRequest;
import io.relevo.v1.InvalidateResponse;
import io.relevo.v1.LeaseRequest;
import io.relevo.v1.LeaseResponse;
import io.relevo.v1.Ping;
import io.relevo.v1.PutRequest;
import io.relevo.v1.PutResponse;
import io.relevo.v1.ReleaseRequest;
import io.relevo.v1.ReleaseResponse;
import io.relevo.v1.Subscribe;
import io.relevo.v1.WatchRequest;
import io.relevo.v1.WatchResponse;
import io.relevo.v1.WatchResponse.EventCase;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

final class WireChecks {
  private static final String CONTEXT_STORE = "relevo.v1.ContextStore/";
  private static final byte[] UNDECODABLE = {-1, -1, -1};

  private WireChecks() {}

  static Map<String, Check> all() {
    return Map.of(
        "wire.get", WireChecks::get,
        "wire.batch_get", WireChecks::batchGet,
        "wire.writes", WireChecks::writes,
        "wire.watch", WireChecks::watch,
        "wire.undecodable", WireChecks::undecodable,
        "wire.undecodable_watch", WireChecks::undecodableWatch,
        "wire.too_deep", WireChecks::tooDeep,
        "wire.many_violations", WireChecks::manyViolations);
  }

  private static void get(Scene scene) throws Exception {
    put(scene, "layer");
    long version = put(scene, "head", scene.key("layer")).getRevision();
    GetRequest plain = GetRequest.newBuilder().setKey(scene.key("head")).build();
    equal(got(scene, plain).getEntry().getContext().getUserId(), "u");
    GetRequest whole = plain.toBuilder().setIncludeLayers(true).build();
    equal(got(scene, whole).getLayers(0).getContext().getUserId(), "u");
    GetRequest cached =
        whole.toBuilder().setConsistency(Consistency.CONSISTENCY_CACHED).build();
    equal(got(scene, cached).getEntry().getContext().getUserId(), "u");
    GetResponse known = got(scene, plain.toBuilder().setKnownVersion(version).build());
    holds(!known.getEntry().hasContext() && known.getNotModified(), known);
  }

  private static void batchGet(Scene scene) throws Exception {
    put(scene, "layer");
    put(scene, "head", scene.key("layer"));
    BatchGetRequest.Builder request = BatchGetRequest.newBuilder();
    request.addRequestsBuilder().setKey(scene.key("head")).setIncludeLayers(true);
    request.addRequestsBuilder().setKey(scene.key("layer"));
    request.addRequestsBuilder().setKey(scene.key("none"));
    List<BatchGetResult> results =
        canonical(scene, "BatchGet", request.build(), BatchGetResponse.parser()).getResultsList();
    equal(results.get(0).getResponse().getLayers(0).getContext().getUserId(), "u");
    equal(results.get(1).getResponse().getEntry().getContext().getUserId(), "u");
    equal(results.get(2).getError().getCode(), Code.NOT_FOUND.value());
  }

  private static void writes(Scene scene) throws Exception {
    ContextKey key = scene.key("written");
    LeaseRequest lease = LeaseRequest.newBuilder().setKey(key).build();
    String token =
        canonical(scene, "Lease", lease, LeaseResponse.parser()).getLease().getToken();
    ReleaseRequest release =
        ReleaseRequest.newBuilder().setKey(key).setLeaseToken(token).build();
    canonical(scene, "Release", release, ReleaseResponse.parser());
    PutResponse written = put(scene, "written");
    equal(written.getEntry().getVersion(), written.getRevision());
    LeaseResponse after = canonical(scene, "Lease", lease, LeaseResponse.parser());
    equal(after.getEntry().getContext().getUserId(), "u");
    InvalidateRequest invalidate =
        InvalidateRequest.newBuilder().setKeys(ContextKeys.newBuilder().addKeys(key)).build();
    canonical(scene, "Invalidate", invalidate, InvalidateResponse.parser());
  }

  private static void watch(Scene scene) throws Exception {
    put(scene, "watched");
    Queue<byte[]> messages = new Queue<>();
    StreamObserver<byte[]> requests = rawWatch(scene, messages);
    int number = 0;
    for (String id : List.of("watched", "none")) {
      number++;
      Subscribe.Builder subscribe =
          Subscribe.newBuilder().setKey(scene.key(id)).setNumber(number);
      requests.onNext(WatchRequest.newBuilder().setSubscribe(subscribe).build().toByteArray());
    }
    Set<EventCase> missing = EnumSet.of(EventCase.ENTRY, EventCase.INVALIDATED);
    while (!missing.isEmpty()) {
      missing.remove(reread(messages.take(), WatchResponse.parser()).getEventCase());
    }
    // Only now: a position that is known earlier may come with an answer.
    WatchRequest.Builder ping =
        WatchRequest.newBuilder().setPing(Ping.newBuilder().setNumber(1));
    requests.onNext(ping.build().toByteArray());
    while (!reread(messages.take(), WatchResponse.parser()).hasProgress()) {}
  }

  private static void undecodable(Scene scene) throws Exception {
    for (String method :
        List.of("Get", "BatchGet", "Put", "Invalidate", "Lease", "Release", "Snapshot")) {
      Failure failure =
          fails(
              () -> rawCall(scene, method, UNDECODABLE), Code.INVALID_ARGUMENT, "INVALID_FIELD");
      equal(failure.fields(), List.of("request"));
    }
  }

  private static void undecodableWatch(Scene scene) throws Exception {
    Queue<byte[]> messages = new Queue<>();
    rawWatch(scene, messages).onNext(UNDECODABLE);
    Expect.Call ends =
        () -> {
          while (true) {
            messages.take();
          }
        };
    Failure failure = fails(ends, Code.INVALID_ARGUMENT, "INVALID_FIELD");
    equal(failure.fields(), List.of("request"));
  }

  private static void tooDeep(Scene scene) throws Exception {
    PutRequest.Builder key = PutRequest.newBuilder().setKey(scene.key("deep"));
    for (boolean isList : new boolean[] {false, true}) {
      for (int levels : new int[] {33, 50, 200}) {
        ByteString context = field(2, field(8, nested(levels, isList)));
        byte[] request = key.build().toByteString().concat(context).toByteArray();
        Failure failure =
            fails(() -> rawCall(scene, "Put", request), Code.INVALID_ARGUMENT, "INVALID_FIELD");
        holds(failure.fields().get(0).startsWith("context.llm_config"), failure);
      }
    }
  }

  private static void manyViolations(Scene scene) throws Exception {
    ListValue.Builder values = ListValue.newBuilder();
    for (int i = 0; i < 500; i++) {
      values.addValuesBuilder().setNumberValue(Double.NaN);
    }
    Struct.Builder config =
        Struct.newBuilder().putFields("a", Value.newBuilder().setListValue(values).build());
    ExecutionContext context = ExecutionContext.newBuilder().setLlmConfig(config).build();
    Failure failure =
        fails(
            () -> scene.put(scene.key("many"), context),
            Code.INVALID_ARGUMENT,
            "INVALID_FIELD");
    equal(failure.fields().get(0), "context.llm_config.a[0]");
    int leftOut = Integer.parseInt(failure.metadata().get("violations_left_out"));
    equal(failure.fields().size() + leftOut, 500);
  }

  private static byte[] rawCall(Scene scene, String method, byte[] request) {
    return Scene.rawCall(scene.channel("store"), CONTEXT_STORE + method, request);
  }

  private static StreamObserver<byte[]> rawWatch(Scene scene, Queue<byte[]> messages) {
    var method = Scene.raw(MethodType.BIDI_STREAMING, CONTEXT_STORE + "Watch");
    var call = scene.channel("store").newCall(method, ContextStore.options());
    return ClientCalls.asyncBidiStreamingCall(call, messages);
  }

  /** The answer of a call, whose bytes have to be the ones that Java writes. */
  private static <T extends Message> T canonical(
      Scene scene, String method, Message request, Parser<T> parser) throws Exception {
    return reread(rawCall(scene, method, request.toByteArray()), parser);
  }

  private static <T extends Message> T reread(byte[] bytes, Parser<T> parser) throws Exception {
    T message = parser.parseFrom(bytes);
    equal(message.getUnknownFields(), UnknownFieldSet.getDefaultInstance());
    equal(message.toByteString(), ByteString.copyFrom(bytes));
    return message;
  }

  private static GetResponse got(Scene scene, GetRequest request) throws Exception {
    return canonical(scene, "Get", request, GetResponse.parser());
  }

  /** Put a context in which each Struct has one field only. */
  private static PutResponse put(Scene scene, String id, ContextKey... includes)
      throws Exception {
    ExecutionContext.Builder context =
        ExecutionContext.newBuilder()
            .setUserId("u")
            .setLlmConfig(Scene.section("{\"a\": [1, {\"b\": null}]}"))
            .addAllIncludes(List.of(includes));
    PutRequest request =
        PutRequest.newBuilder().setKey(scene.key(id)).setContext(context).build();
    return canonical(scene, "Put", request, PutResponse.parser());
  }

  /** A length-delimited field. */
  private static ByteString field(int number, ByteString payload) {
    return UnknownFieldSet.newBuilder()
        .addField(
            number, UnknownFieldSet.Field.newBuilder().addLengthDelimited(payload).build())
        .build()
        .toByteString();
  }

  /** `levels` of Structs or lists, the first one a Struct. */
  private static ByteString nested(int levels, boolean isList) {
    ByteString value = ByteString.EMPTY;
    for (int i = 1; i < levels; i++) {
      value = isList ? field(6, field(1, value)) : field(5, struct(value));
    }
    return struct(value);
  }

  private static ByteString struct(ByteString value) {
    return field(1, field(1, ByteString.copyFromUtf8("a")).concat(field(2, value)));
  }
}
