package main

import (
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	pb "relevo.io/gen/relevo/v1"
)

var watchChecks = checks{
	"watch.answers": func(s *scene) {
		here, none := s.key("here"), s.key("none")
		revision := s.put(here, &pb.ExecutionContext{UserId: "u"}).GetRevision()
		watching := watch(s.ctx, s.store())
		watching.subscribe(&pb.Subscribe{Key: here, Number: 7})
		watching.subscribe(&pb.Subscribe{Key: none, Number: 8})
		answers := map[int64]*pb.WatchResponse{}
		for range 2 {
			answer := watching.next()
			answers[answer.GetAnswers()] = answer
		}
		entry := answers[7].GetEvent().(*pb.WatchResponse_Entry).Entry
		equal(entry.GetKey(), here)
		equal(entry.GetVersion(), revision)
		equal(entry.GetContext().GetUserId(), "u")
		invalidated := answers[8].GetEvent().(*pb.WatchResponse_Invalidated).Invalidated
		equal(invalidated.GetKey(), none)
		equal(invalidated.GetIsChanged(), false)
	},

	"watch.pushes": func(s *scene) {
		key := s.key("pushed")
		watching, _ := s.subscribed(&pb.Subscribe{Key: key})
		revision := s.pythonPut(key, map[string]any{"llm_config": s.values})
		push := watching.next()
		equal(push.GetAnswers(), int64(0))
		equal(push.GetEntry().GetKey(), key)
		equal(push.GetEntry().GetVersion(), revision)
		equal(push.GetEntry().GetContext().GetLlmConfig().AsMap(), s.values)
	},

	"watch.known_version": func(s *scene) {
		key := s.key("known")
		version := s.put(key, &pb.ExecutionContext{}).GetRevision()
		_, answer := s.subscribed(&pb.Subscribe{Key: key, KnownVersion: version})
		equal(answer.GetEntry().GetVersion(), version)
		holds(answer.GetEntry().Context == nil, "%v", answer)
	},

	"watch.invalidated": func(s *scene) {
		key := s.key("ended")
		s.put(key, &pb.ExecutionContext{})
		watching, _ := s.subscribed(&pb.Subscribe{Key: key})
		byKey := s.invalidate(key)
		one := watching.next().GetInvalidated()
		equal(one.GetTarget().(*pb.Invalidated_Key).Key, key)
		equal(one.GetRevision(), byKey.GetRevision())
		byTenant := s.invalidateTenant("")
		all := watching.next().GetInvalidated()
		equal(all.GetTarget().(*pb.Invalidated_Tenant).Tenant, &pb.TenantSelector{TenantId: s.tenant})
		equal(all.GetRevision(), byTenant.GetRevision())
	},

	"watch.too_large": func(s *scene) {
		key := s.key("large")
		watching, _ := s.subscribed(&pb.Subscribe{Key: key})
		revision := s.pythonPut(key, map[string]any{"user_id": strings.Repeat("x", 20_000)})
		invalidated := watching.next().GetInvalidated()
		equal(invalidated.GetKey(), key)
		equal(invalidated.GetIsChanged(), true)
		watching.subscribe(&pb.Subscribe{Key: key, Number: 2})
		answer := watching.next()
		equal(answer.GetAnswers(), int64(2))
		equal(answer.GetEntry().GetVersion(), revision)
		equal(len(answer.GetEntry().GetContext().GetUserId()), 20_000)
	},

	"watch.unsubscribed": func(s *scene) {
		left, kept := s.key("left"), s.key("kept")
		watching, _ := s.subscribed(&pb.Subscribe{Key: left})
		watching.subscribe(&pb.Subscribe{Key: kept, Number: 2})
		watching.next()
		unsubscribe := &pb.WatchRequest_Unsubscribe{Unsubscribe: &pb.Unsubscribe{Key: left}}
		must(watching.stream.Send(&pb.WatchRequest{Request: unsubscribe}))
		watching.ping(1)
		watching.until(watching.pinged(1))
		s.pythonPut(left, map[string]any{})
		revision := s.pythonPut(kept, map[string]any{})
		entry := watching.next().GetEntry()
		equal(entry.GetKey(), kept)
		equal(entry.GetVersion(), revision)
	},

	"watch.pings": func(s *scene) {
		watching, _ := s.subscribed(&pb.Subscribe{Key: s.key("pinged")})
		for _, number := range []int64{1, 5} {
			watching.ping(number)
			equal(watching.until(watching.pinged(number)), 0)
		}
	},

	"watch.progress": func(s *scene) {
		watching, answer := s.subscribed(&pb.Subscribe{Key: s.key("watched")})
		partition := answer.GetInvalidated().GetPartition()
		put := s.put(s.key("another"), &pb.ExecutionContext{})
		equal(put.GetEntry().GetPartition(), partition)
		events := watching.until(func() bool {
			return watching.revisions[partition] >= put.GetRevision()
		})
		equal(events, 0)
	},

	"watch.touch": func(s *scene) {
		key := s.key("touched")
		got(s.putAs(&pb.PutRequest{Key: key, Ttl: durationpb.New(100 * time.Second)}))
		left := func() time.Duration {
			return s.get(&pb.GetRequest{Key: key}).GetEntry().GetTtl().AsDuration()
		}
		before := left()
		for left() > before-20*time.Millisecond {
		}
		later := left()
		watching, _ := s.subscribed(&pb.Subscribe{Key: key})
		touch := &pb.WatchRequest_Touch{Touch: &pb.Touch{Key: key}}
		must(watching.stream.Send(&pb.WatchRequest{Request: touch}))
		for left() <= later {
		}
	},

	"watch.reset": func(s *scene) {
		key := s.key("ahead")
		revision := s.put(key, &pb.ExecutionContext{}).GetRevision()
		watching := watch(s.ctx, s.store())
		watching.subscribe(&pb.Subscribe{Key: key, Number: 1, Position: revision + 1<<40})
		reset := watching.next().GetReset_()
		equal(reset.GetReason(), pb.ResetReason_RESET_REASON_ORDER_CHANGED)
		answer := watching.next()
		equal(answer.GetAnswers(), int64(1))
		equal(answer.GetEntry().GetVersion(), revision)
		equal(answer.GetEntry().GetPartition(), reset.GetPartition())
	},

	"watch.invalid_fields": func(s *scene) {
		watching := watch(s.ctx, s.store())
		key := &pb.ContextKey{TenantId: "a", Id: "b"}
		watching.subscribe(&pb.Subscribe{Key: key, Number: 1})
		failure := fails(watching.ends(), codes.InvalidArgument, "INVALID_FIELD")
		equal(failure.fields(), []string{"subscribe.key.scope"})
	},

	"watch.stopping": func(s *scene) {
		watching := watch(s.ctx, s.storeOf("stopping"))
		watching.subscribe(&pb.Subscribe{Key: s.key("a"), Number: 1})
		watching.next()
		got(python[struct{}](s, s.ctx, "asyncio", "Stop", struct{}{}))
		failure := fails(watching.ends(), codes.Unavailable, "SERVER_STOPPING")
		equal(failure.retryAfter, int64(500))
	},
}
