package main

import (
	"context"

	"google.golang.org/grpc/codes"
	pb "relevo.io/gen/relevo/v1"
)

// asked are a Get of a tenant's key, which is not there, and a Watch that subscribes to it.
func (s *scene) asked(ctx context.Context, tenant string) (error, *watching) {
	store, key := s.storeOf("guarded"), &pb.ContextKey{Scope: "a", TenantId: tenant, Id: "c"}
	_, err := store.Get(ctx, &pb.GetRequest{Key: key})
	watching := watch(ctx, store)
	watching.subscribe(&pb.Subscribe{Key: key, Number: 1})
	return err, watching
}

var accessChecks = checks{
	"access.granted": func(s *scene) {
		err, watching := s.asked(s.bearer(), "acme")
		fails(err, codes.NotFound, "NO_ENTRY")
		equal(watching.next().GetAnswers(), int64(1))
	},

	"access.unauthenticated": func(s *scene) {
		err, watching := s.asked(s.ctx, "acme")
		fails(err, codes.Unauthenticated, "UNAUTHENTICATED")
		fails(watching.ends(), codes.Unauthenticated, "UNAUTHENTICATED")
	},

	"access.denied": func(s *scene) {
		err, watching := s.asked(s.bearer(), "other")
		failure := fails(err, codes.PermissionDenied, "TENANT_DENIED")
		equal(failure.metadata, map[string]string{"tenant_id": "other"})
		declined := watching.next()
		equal(declined.GetAnswers(), int64(1))
		equal(declined.GetInvalidated().GetIsChanged(), true)
	},
}
