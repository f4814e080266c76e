package main

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	pb "relevo.io/gen/relevo/v1"
)

// putAs is a Put under some condition.
func (s *scene) putAs(request *pb.PutRequest) (*pb.PutResponse, error) {
	if request.Context == nil {
		request.Context = &pb.ExecutionContext{}
	}
	return s.store().Put(s.ctx, request)
}

func (s *scene) invalidate(keys ...*pb.ContextKey) *pb.InvalidateResponse {
	target := &pb.InvalidateRequest_Keys{Keys: &pb.ContextKeys{Keys: keys}}
	return got(s.store().Invalidate(s.ctx, &pb.InvalidateRequest{Target: target}))
}

func (s *scene) invalidateTenant(scope string) *pb.InvalidateResponse {
	tenant := &pb.TenantSelector{TenantId: s.tenant, Scope: scope}
	target := &pb.InvalidateRequest_Tenant{Tenant: tenant}
	return got(s.store().Invalidate(s.ctx, &pb.InvalidateRequest{Target: target}))
}

var writeChecks = checks{
	"put.values": func(s *scene) {
		key := s.key("values")
		put := s.put(key, &pb.ExecutionContext{LlmConfig: section(s.values)})
		seen := got(s.see("asyncio", key, put.GetRevision()))
		equal(seen.Context["llm_config"], s.values)
	},

	"put.mask": func(s *scene) {
		key := s.key("masked")
		before := section(map[string]any{"keep": 1, "top-p": 2, "clear": 3})
		s.put(key, &pb.ExecutionContext{UserId: "u", SessionId: "s", LlmConfig: before})
		paths := []string{"llm_config.`top-p`", "llm_config.clear", "session_id"}
		got(s.putAs(&pb.PutRequest{
			Key:        key,
			Context:    &pb.ExecutionContext{LlmConfig: section(map[string]any{"top-p": 4})},
			UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
		}))
		context := s.get(&pb.GetRequest{Key: key}).GetEntry().GetContext()
		equal([]string{context.GetUserId(), context.GetSessionId()}, []string{"u", ""})
		equal(context.GetLlmConfig().AsMap(), map[string]any{"keep": 1.0, "top-p": 4.0})
	},

	"put.if_version": func(s *scene) {
		key := s.key("version")
		condition := &pb.PutRequest_IfVersion{IfVersion: s.put(key, &pb.ExecutionContext{}).GetRevision()}
		second := got(s.putAs(&pb.PutRequest{Key: key, Precondition: condition}))
		equal(second.GetEntry().GetVersion(), second.GetRevision())
		holds(second.GetEntry().Context == nil, "%v", second)
		_, err := s.putAs(&pb.PutRequest{Key: key, Precondition: condition})
		failure := fails(err, codes.Aborted, "VERSION_MISMATCH")
		equal(failure.metadata["current_version"], strconv.FormatInt(second.GetRevision(), 10))
	},

	"put.if_absent": func(s *scene) {
		request := &pb.PutRequest{
			Key: s.key("absent"), Precondition: &pb.PutRequest_IfAbsent{IfAbsent: true},
		}
		revision := got(s.putAs(request)).GetRevision()
		_, err := s.putAs(request)
		failure := fails(err, codes.Aborted, "ENTRY_EXISTS")
		equal(failure.metadata["current_version"], strconv.FormatInt(revision, 10))
	},

	"put.request_id": func(s *scene) {
		request := &pb.PutRequest{
			Key:       s.key("once"),
			Context:   &pb.ExecutionContext{UserId: "u"},
			RequestId: "größe",
		}
		first := got(s.putAs(request))
		equal(got(s.putAs(request)).GetRevision(), first.GetRevision())
		request.Context.UserId = "v"
		_, err := s.putAs(request)
		fails(err, codes.InvalidArgument, "REQUEST_ID_REUSED")
	},

	"put.ttl": func(s *scene) {
		key, ttl := s.key("ttl"), 90*time.Second+500*time.Millisecond
		got(s.putAs(&pb.PutRequest{Key: key, Ttl: durationpb.New(ttl)}))
		left := s.get(&pb.GetRequest{Key: key}).GetEntry().GetTtl().AsDuration()
		holds(left > 60*time.Second && left <= ttl, "%v", left)
	},

	"put.create_time": func(s *scene) {
		key := s.key("time")
		time := got(time.Parse(time.RFC3339Nano, "1969-07-20T20:17:40.123456Z"))
		s.put(key, &pb.ExecutionContext{CreateTime: timestamppb.New(time)})
		context := s.get(&pb.GetRequest{Key: key}).GetEntry().GetContext()
		equal(context.GetCreateTime().AsTime(), time)
	},

	"put.too_large": func(s *scene) {
		context := &pb.ExecutionContext{UserId: strings.Repeat("x", 300_000)}
		_, err := s.putAs(&pb.PutRequest{Key: s.key("large"), Context: context})
		failure := fails(err, codes.ResourceExhausted, "CONTEXT_TOO_LARGE")
		equal(failure.metadata["limit_bytes"], "262144")
		holds(got(strconv.Atoi(failure.metadata["size_bytes"])) >= 300_000, "%v", failure)
	},

	"invalidate.keys": func(s *scene) {
		here := s.key("here")
		revision := s.put(here, &pb.ExecutionContext{}).GetRevision()
		ended := s.invalidate(here, s.key("none"))
		equal(ended.GetInvalidatedCount(), int32(1))
		holds(ended.GetRevision() > revision, "%v", ended)
		s.missing(here)
	},

	"invalidate.tenant": func(s *scene) {
		agent, conversation := s.keyIn("agent_config", "a"), s.key("c")
		s.put(agent, &pb.ExecutionContext{})
		s.put(conversation, &pb.ExecutionContext{})
		s.invalidateTenant("agent_config")
		s.missing(agent)
		s.get(&pb.GetRequest{Key: conversation})
		s.invalidateTenant("")
		s.missing(conversation)
	},

	"invalidate.request_id": func(s *scene) {
		key := s.key("once")
		s.put(key, &pb.ExecutionContext{})
		target := &pb.InvalidateRequest_Keys{Keys: &pb.ContextKeys{Keys: []*pb.ContextKey{key}}}
		request := &pb.InvalidateRequest{Target: target, RequestId: "größe"}
		first := got(s.store().Invalidate(s.ctx, request))
		revision := s.put(key, &pb.ExecutionContext{}).GetRevision()
		equal(got(s.store().Invalidate(s.ctx, request)), first)
		equal(s.get(&pb.GetRequest{Key: key}).GetEntry().GetVersion(), revision)
	},
}
