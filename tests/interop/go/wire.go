package main

import (
	"math"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	pb "relevo.io/gen/relevo/v1"
)

const contextStore = "/relevo.v1.ContextStore/"

var undecodable = []byte{0xff, 0xff, 0xff}

// rawCall is a call of the store with bytes.
func (s *scene) rawCall(method string, request []byte) ([]byte, error) {
	var answer []byte
	conn := s.conn("store")
	err := conn.Invoke(s.ctx, contextStore+method, request, &answer, grpc.ForceCodec(raw{}))
	return answer, err
}

// rawWatch is a Watch of bytes.
func (s *scene) rawWatch() grpc.ClientStream {
	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	codec := grpc.ForceCodec(raw{})
	return got(s.conn("store").NewStream(s.ctx, both, contextStore+"Watch", codec))
}

// reread reads bytes, which have to be as many as Go writes: each singular field once. It may
// write them in another order, members of a oneof last.
func reread[T proto.Message](data []byte, message T) T {
	must(proto.Unmarshal(data, message))
	holds(len(message.ProtoReflect().GetUnknown()) == 0, "unknown fields in %v", message)
	again := got(proto.Marshal(message))
	holds(len(again) == len(data), "%x, not %x", data, again)
	return message
}

// canonical is the answer of a call, whose bytes have to be as many as Go writes.
func canonical[T proto.Message](s *scene, method string, request proto.Message, answer T) T {
	return reread(got(s.rawCall(method, got(proto.Marshal(request)))), answer)
}

// putSmall puts a context in which each Struct has one field only.
func (s *scene) putSmall(id string, includes ...*pb.ContextKey) *pb.PutResponse {
	values := map[string]any{"a": []any{1, map[string]any{"b": nil}}}
	context := &pb.ExecutionContext{UserId: "u", LlmConfig: section(values), Includes: includes}
	request := &pb.PutRequest{Key: s.key(id), Context: context}
	return canonical(s, "Put", request, &pb.PutResponse{})
}

// nested are `levels` of Structs or lists, the first one a Struct, as bytes.
func nested(levels int, isList bool) []byte {
	field := func(number protowire.Number, payload []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), payload)
	}
	object := func(value []byte) []byte {
		return field(1, append(field(1, []byte("a")), field(2, value)...))
	}
	value := []byte{}
	for range levels - 1 {
		if isList {
			value = field(6, field(1, value))
		} else {
			value = field(5, object(value))
		}
	}
	return field(2, field(8, object(value)))
}

var wireChecks = checks{
	"wire.get": func(s *scene) {
		s.putSmall("layer")
		version := s.putSmall("head", s.key("layer")).GetRevision()
		get := func(request *pb.GetRequest) *pb.GetResponse {
			request.Key = s.key("head")
			return canonical(s, "Get", request, &pb.GetResponse{})
		}
		equal(get(&pb.GetRequest{}).GetEntry().GetContext().GetUserId(), "u")
		layers := get(&pb.GetRequest{IncludeLayers: true}).GetLayers()
		equal(layers[0].GetContext().GetUserId(), "u")
		cached := &pb.GetRequest{Consistency: pb.Consistency_CONSISTENCY_CACHED, IncludeLayers: true}
		equal(get(cached).GetEntry().GetContext().GetUserId(), "u")
		known := get(&pb.GetRequest{KnownVersion: version})
		holds(known.GetEntry().Context == nil && known.GetNotModified(), "%v", known)
	},

	"wire.batch_get": func(s *scene) {
		s.putSmall("layer")
		s.putSmall("head", s.key("layer"))
		request := &pb.BatchGetRequest{Requests: []*pb.GetRequest{
			{Key: s.key("head"), IncludeLayers: true}, {Key: s.key("layer")}, {Key: s.key("none")},
		}}
		results := canonical(s, "BatchGet", request, &pb.BatchGetResponse{}).GetResults()
		equal(results[0].GetResponse().GetLayers()[0].GetContext().GetUserId(), "u")
		equal(results[1].GetResponse().GetEntry().GetContext().GetUserId(), "u")
		equal(results[2].GetError().GetCode(), int32(codes.NotFound))
	},

	"wire.writes": func(s *scene) {
		key := s.key("written")
		lease := &pb.LeaseRequest{Key: key}
		token := canonical(s, "Lease", lease, &pb.LeaseResponse{}).GetLease().GetToken()
		release := &pb.ReleaseRequest{Key: key, LeaseToken: token}
		canonical(s, "Release", release, &pb.ReleaseResponse{})
		written := s.putSmall("written")
		equal(written.GetEntry().GetVersion(), written.GetRevision())
		entry := canonical(s, "Lease", lease, &pb.LeaseResponse{}).GetEntry()
		equal(entry.GetContext().GetUserId(), "u")
		keys := &pb.ContextKeys{Keys: []*pb.ContextKey{key}}
		invalidate := &pb.InvalidateRequest{Target: &pb.InvalidateRequest_Keys{Keys: keys}}
		canonical(s, "Invalidate", invalidate, &pb.InvalidateResponse{})
	},

	"wire.watch": func(s *scene) {
		s.putSmall("watched")
		stream := s.rawWatch()
		send := func(request *pb.WatchRequest) { must(stream.SendMsg(got(proto.Marshal(request)))) }
		for i, id := range []string{"watched", "none"} {
			subscribe := &pb.Subscribe{Key: s.key(id), Number: int64(i + 1)}
			send(&pb.WatchRequest{Request: &pb.WatchRequest_Subscribe{Subscribe: subscribe}})
		}
		receive := func() *pb.WatchResponse {
			var data []byte
			must(stream.RecvMsg(&data))
			return reread(data, &pb.WatchResponse{})
		}
		var entry, invalidated bool
		for !(entry && invalidated) {
			message := receive()
			entry = entry || message.GetEntry() != nil
			invalidated = invalidated || message.GetInvalidated() != nil
		}
		// Only now: a position that is known earlier may come with an answer.
		send(&pb.WatchRequest{Request: &pb.WatchRequest_Ping{Ping: &pb.Ping{Number: 1}}})
		for receive().GetProgress() == nil {
		}
	},

	"wire.undecodable": func(s *scene) {
		methods := []string{"Get", "BatchGet", "Put", "Invalidate", "Lease", "Release", "Snapshot"}
		for _, method := range methods {
			_, err := s.rawCall(method, undecodable)
			failure := fails(err, codes.InvalidArgument, "INVALID_FIELD")
			equal(failure.fields(), []string{"request"})
		}
	},

	"wire.undecodable_watch": func(s *scene) {
		stream := s.rawWatch()
		must(stream.SendMsg(undecodable))
		var err error
		for err == nil {
			err = stream.RecvMsg(new([]byte))
		}
		failure := fails(err, codes.InvalidArgument, "INVALID_FIELD")
		equal(failure.fields(), []string{"request"})
	},

	"wire.too_deep": func(s *scene) {
		key := got(proto.Marshal(&pb.PutRequest{Key: s.key("deep")}))
		for _, isList := range []bool{false, true} {
			for _, levels := range []int{33, 50, 200} {
				_, err := s.rawCall("Put", append(key, nested(levels, isList)...))
				path := fails(err, codes.InvalidArgument, "INVALID_FIELD").fields()[0]
				holds(strings.HasPrefix(path, "context.llm_config"), "%s", path)
			}
		}
	},

	"wire.many_violations": func(s *scene) {
		values := &structpb.ListValue{}
		for range 500 {
			values.Values = append(values.Values, structpb.NewNumberValue(math.NaN()))
		}
		fields := map[string]*structpb.Value{"a": structpb.NewListValue(values)}
		context := &pb.ExecutionContext{LlmConfig: &structpb.Struct{Fields: fields}}
		_, err := s.putAs(&pb.PutRequest{Key: s.key("many"), Context: context})
		failure := fails(err, codes.InvalidArgument, "INVALID_FIELD")
		equal(failure.fields()[0], "context.llm_config.a[0]")
		leftOut := got(strconv.Atoi(failure.metadata["violations_left_out"]))
		equal(len(failure.fields())+leftOut, 500)
	},
}

var newerChecks = checks{
	"newer.fields": func(s *scene) {
		request := &pb.GetRequest{Key: s.key("a")}
		answer := got(s.storeOf("newer").Get(s.ctx, request))
		equal(answer.GetEntry().GetContext().GetUserId(), "u")
		equal(answer.GetEntry().GetVersion(), int64(1<<60+1))
		equal(answer.GetRevision(), int64(1<<60+1))
	},

	"newer.event": func(s *scene) {
		watching := watch(s.ctx, s.storeOf("newer"))
		for range 4 {
			holds(watching.next().GetReset_() != nil, "not a reset")
		}
		holds(watching.next().GetEvent() == nil, "an event")
		equal(watching.revisions[3], int64(1<<60+1))
	},

	"newer.reset_reasons": func(s *scene) {
		watching := watch(s.ctx, s.storeOf("newer"))
		reasons := []string{}
		for range 4 {
			reset := watching.next().GetReset_()
			equal(reset.GetPartition(), int32(5))
			reasons = append(reasons, strings.TrimPrefix(reset.GetReason().String(), "RESET_REASON_"))
		}
		equal(reasons, []string{"LOG_TRIMMED", "ORDER_CHANGED", "SLOW_WATCHER", "99"})
	},
}
