package main

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	pb "relevo.io/gen/relevo/v1"
)

func idsOf(entries []*pb.ContextEntry) []string {
	ids := []string{}
	for _, entry := range entries {
		ids = append(ids, entry.GetKey().GetId())
	}
	return ids
}

// errorIn is the error of a result, which has the fields of google.rpc.Status.
func errorIn(result *pb.BatchGetResult) failure {
	status := &spb.Status{}
	must(proto.Unmarshal(got(proto.Marshal(result.GetError())), status))
	return failureIn(status)
}

func isNow(moment time.Time) bool {
	return math.Abs(time.Since(moment).Seconds()) < 100
}

var readChecks = checks{
	"get.entry": func(s *scene) {
		key := s.key("entry")
		fields := map[string]any{"context_id": "c", "user_id": "größe", "llm_config": s.values}
		revision := s.pythonPut(key, fields)
		answer := s.get(&pb.GetRequest{Key: key})
		entry := answer.GetEntry()
		equal(entry.GetKey(), key)
		equal(entry.GetVersion(), revision)
		holds(answer.GetRevision() >= revision, "as of %d", answer.GetRevision())
		holds(len(answer.GetLayers()) == 0 && !answer.GetNotModified(), "%v", answer)
		equal(entry.GetContext().GetContextId(), "c")
		equal(entry.GetContext().GetUserId(), "größe")
		equal(entry.GetContext().GetLlmConfig().AsMap(), s.values)
		left := entry.GetTtl().AsDuration().Seconds()
		holds(left > 1700 && left <= 1800, "%f s", left)
		holds(isNow(entry.GetExpireTime().AsTime().Add(-1800*time.Second)), "%v", entry)
		holds(isNow(entry.GetContext().GetUpdateTime().AsTime()), "%v", entry)
	},

	"get.absent_parts": func(s *scene) {
		key := s.key("empty")
		s.put(key, &pb.ExecutionContext{})
		context := s.get(&pb.GetRequest{Key: key}).GetEntry().Context
		holds(context != nil, "no context")
		equal(context.UserId, "")
		holds(context.LlmConfig == nil && len(context.Includes) == 0, "%v", context)
		holds(context.CreateTime.GetSeconds() > 0, "%v", context)
	},

	"get.layers": func(s *scene) {
		first, missing := s.keyIn("agent_config", "first"), s.keyIn("agent_config", "missing")
		second := s.keyIn("agent_config", "second")
		s.put(second, &pb.ExecutionContext{UserId: "second"})
		s.put(first, &pb.ExecutionContext{UserId: "first"})
		includes := []*pb.ContextKey{first, missing, second}
		put := s.put(s.key("head"), &pb.ExecutionContext{Includes: includes})
		answer := s.get(&pb.GetRequest{Key: s.key("head"), IncludeLayers: true})
		equal(len(answer.GetEntry().GetContext().GetIncludes()), 3)
		equal(idsOf(answer.GetLayers()), []string{"first", "second"})
		for _, layer := range answer.GetLayers() {
			equal(layer.GetContext().GetUserId(), layer.GetKey().GetId())
		}
		holds(answer.GetRevision() >= put.GetRevision(), "as of %d", answer.GetRevision())
	},

	"get.layers_unasked": func(s *scene) {
		layer := s.keyIn("agent_config", "layer")
		s.put(layer, &pb.ExecutionContext{})
		s.put(s.key("head"), &pb.ExecutionContext{Includes: []*pb.ContextKey{layer}})
		answer := s.get(&pb.GetRequest{Key: s.key("head")})
		equal(answer.GetEntry().GetContext().GetIncludes()[0], layer)
		equal(len(answer.GetLayers()), 0)
	},

	"get.not_modified": func(s *scene) {
		key := s.key("known")
		version := s.put(key, &pb.ExecutionContext{UserId: "u"}).GetRevision()
		answer := s.get(&pb.GetRequest{Key: key, KnownVersion: version})
		holds(answer.GetNotModified() && answer.GetEntry().Context == nil, "%v", answer)
		equal(answer.GetEntry().GetKey(), key)
		equal(answer.GetEntry().GetVersion(), version)
	},

	"get.cached": func(s *scene) {
		key := s.key("cached")
		revision := s.put(key, &pb.ExecutionContext{UserId: "u"}).GetRevision()
		for range 3 {
			entry := s.get(&pb.GetRequest{
				Key: key, MinRevision: revision, Consistency: pb.Consistency_CONSISTENCY_CACHED,
			}).GetEntry()
			equal(entry.GetVersion(), revision)
			equal(entry.GetContext().GetUserId(), "u")
		}
	},

	"get.fence": func(s *scene) {
		key := s.key("fence")
		revision := s.put(key, &pb.ExecutionContext{}).GetRevision()
		holds(revision > 1<<53, "%d", revision)
		answer := s.get(&pb.GetRequest{Key: key, MinRevision: revision})
		equal(answer.GetEntry().GetVersion(), revision)
		_, err := s.store().Get(s.ctx, &pb.GetRequest{Key: key, MinRevision: revision + 1})
		failure := fails(err, codes.FailedPrecondition, "STORE_BEHIND")
		equal(failure.metadata["revision"], strconv.FormatInt(revision, 10))
	},

	"get.no_entry": func(s *scene) {
		equal(len(s.missing(s.key("none")).metadata), 1)
	},

	"get.invalid_fields": func(s *scene) {
		_, err := s.store().Get(s.ctx, &pb.GetRequest{
			Key:         &pb.ContextKey{TenantId: "a", Id: "\x00"},
			MinRevision: -1,
			Consistency: 99,
		})
		failure := fails(err, codes.InvalidArgument, "INVALID_FIELD")
		expected := []string{"key.scope", "key.id", "min_revision", "consistency"}
		slices.Sort(expected)
		equal(failure.fields(), expected)
		for _, violation := range failure.violations {
			holds(violation[1] != "", "%v", violation)
		}
	},

	"batch_get.results": func(s *scene) {
		s.put(s.key("here"), &pb.ExecutionContext{UserId: "u"})
		request := &pb.BatchGetRequest{}
		for _, id := range []string{"here", "none", "", "here"} {
			request.Requests = append(request.Requests, &pb.GetRequest{Key: s.key(id)})
		}
		results := got(s.store().BatchGet(s.ctx, request)).GetResults()
		equal(len(results), 4)
		for _, i := range []int{0, 3} {
			response := results[i].GetResult().(*pb.BatchGetResult_Response).Response
			equal(response.GetEntry().GetContext().GetUserId(), "u")
		}
		none, invalid := errorIn(results[1]), errorIn(results[2])
		equal(none.code, codes.NotFound)
		equal(none.reason, "NO_ENTRY")
		equal(invalid.reason, "INVALID_FIELD")
		equal(invalid.fields(), []string{"key.id"})
	},

	"batch_get.room": func(s *scene) {
		a, b := &pb.GetRequest{Key: s.key("a")}, &pb.GetRequest{Key: s.key("b")}
		for _, each := range []*pb.GetRequest{a, b} {
			s.put(each.Key, &pb.ExecutionContext{UserId: strings.Repeat("x", 60_000)})
		}
		batch := &pb.BatchGetRequest{Requests: []*pb.GetRequest{a, b}}
		results := got(s.store().BatchGet(s.ctx, batch)).GetResults()
		equal(len(results[0].GetResponse().GetEntry().GetContext().GetUserId()), 60_000)
		equal(errorIn(results[1]).reason, "RESPONSE_TOO_LARGE")
		batch = &pb.BatchGetRequest{Requests: []*pb.GetRequest{b}}
		again := got(s.store().BatchGet(s.ctx, batch)).GetResults()
		equal(again[0].GetResponse().GetEntry().GetKey(), b.Key)
	},
}
