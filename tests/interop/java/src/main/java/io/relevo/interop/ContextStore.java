package io.relevo.interop;

import com.google.protobuf.Descriptors;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.StreamObserver;
import io.relevo.v1.BatchGetRequest;
import io.relevo.v1.BatchGetResponse;
import io.relevo.v1.GetRequest;
import io.relevo.v1.GetResponse;
import io.relevo.v1.InvalidateRequest;
import io.relevo.v1.InvalidateResponse;
import io.relevo.v1.LeaseRequest;
import io.relevo.v1.LeaseResponse;
import io.relevo.v1.PutRequest;
import io.relevo.v1.PutResponse;
import io.relevo.v1.ReleaseRequest;
import io.relevo.v1.ReleaseResponse;
import io.relevo.v1.Store;
import io.relevo.v1.WatchRequest;
import io.relevo.v1.WatchResponse;
import java.util.concurrent.TimeUnit;

/**
 * The calls of a store, by the service's generated descriptor.
 *
 * <p>The usual stub generator is a native program, which not every machine can have; what it would
 * generate is this.
 */
record ContextStore(Channel channel) {
  private static final Descriptors.ServiceDescriptor SERVICE =
      Store.getDescriptor().findServiceByName("ContextStore");

  /** Every call ends within 30 seconds. */
  static CallOptions options() {
    return CallOptions.DEFAULT.withDeadlineAfter(30, TimeUnit.SECONDS);
  }

  GetResponse get(GetRequest request) {
    return call("Get", request, GetResponse.getDefaultInstance());
  }

  BatchGetResponse batchGet(BatchGetRequest request) {
    return call("BatchGet", request, BatchGetResponse.getDefaultInstance());
  }

  PutResponse put(PutRequest request) {
    return call("Put", request, PutResponse.getDefaultInstance());
  }

  InvalidateResponse invalidate(InvalidateRequest request) {
    return call("Invalidate", request, InvalidateResponse.getDefaultInstance());
  }

  LeaseResponse lease(LeaseRequest request) {
    return call("Lease", request, LeaseResponse.getDefaultInstance());
  }

  ReleaseResponse release(ReleaseRequest request) {
    return call("Release", request, ReleaseResponse.getDefaultInstance());
  }

  StreamObserver<WatchRequest> watch(StreamObserver<WatchResponse> answers) {
    var method =
        method("Watch", WatchRequest.getDefaultInstance(), WatchResponse.getDefaultInstance());
    return ClientCalls.asyncBidiStreamingCall(channel.newCall(method, options()), answers);
  }

  private <Q extends Message, A extends Message> A call(String name, Q request, A answer) {
    return ClientCalls.blockingUnaryCall(
        channel, method(name, request, answer), options(), request);
  }

  private static <Q extends Message, A extends Message> MethodDescriptor<Q, A> method(
      String name, Q request, A answer) {
    Descriptors.MethodDescriptor method = SERVICE.findMethodByName(name);
    Expect.equal(method.getInputType(), request.getDescriptorForType());
    Expect.equal(method.getOutputType(), answer.getDescriptorForType());
    boolean isStream = method.isClientStreaming() && method.isServerStreaming();
    return MethodDescriptor.<Q, A>newBuilder()
        .setType(isStream ? MethodType.BIDI_STREAMING : MethodType.UNARY)
        .setFullMethodName(
            MethodDescriptor.generateFullMethodName(SERVICE.getFullName(), method.getName()))
        .setRequestMarshaller(marshaller(request))
        .setResponseMarshaller(marshaller(answer))
        .build();
  }

  @SuppressWarnings("unchecked")
  private static <T extends Message> MethodDescriptor.Marshaller<T> marshaller(T message) {
    return ProtoUtils.marshaller((T) message.getDefaultInstanceForType());
  }
}
