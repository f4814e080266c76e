package main

import (
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	pb "relevo.io/gen/relevo/v1"
)

// lease is a lease that must be given.
func (s *scene) lease(request *pb.LeaseRequest) *pb.Lease {
	return got(s.store().Lease(s.ctx, request)).GetResult().(*pb.LeaseResponse_Lease).Lease
}

func (s *scene) putUnder(key *pb.ContextKey, lease *pb.Lease) (*pb.PutResponse, error) {
	token := &pb.PutRequest_LeaseToken{LeaseToken: lease.GetToken()}
	context := &pb.ExecutionContext{UserId: "u"}
	return s.putAs(&pb.PutRequest{Key: key, Context: context, Precondition: token})
}

var leaseChecks = checks{
	"lease.creates": func(s *scene) {
		key := s.key("created")
		lease := s.lease(&pb.LeaseRequest{Key: key})
		holds(lease.GetToken() != "", "no token")
		ttl := lease.GetTtl().AsDuration()
		holds(ttl > 0 && ttl <= 10*time.Second, "%v", ttl)
		wait := durationpb.New(20 * time.Millisecond)
		_, err := s.store().Lease(s.ctx, &pb.LeaseRequest{Key: key, Wait: wait})
		failure := fails(err, codes.Aborted, "LEASE_HELD")
		holds(failure.retryAfter > 0 && failure.retryAfter <= 10_000, "%v", failure)
		put := got(s.putUnder(key, lease))
		after := got(s.store().Lease(s.ctx, &pb.LeaseRequest{Key: key}))
		entry := after.GetResult().(*pb.LeaseResponse_Entry).Entry
		equal(entry.GetVersion(), put.GetRevision())
		equal(entry.GetContext().GetUserId(), "u")
	},

	"lease.request_id": func(s *scene) {
		request := &pb.LeaseRequest{Key: s.key("once"), RequestId: "größe"}
		equal(s.lease(request).GetToken(), s.lease(request).GetToken())
	},

	"lease.lost": func(s *scene) {
		key := s.key("lost")
		lease := s.lease(&pb.LeaseRequest{Key: key})
		s.invalidate(key)
		_, err := s.putUnder(key, lease)
		fails(err, codes.FailedPrecondition, "LEASE_LOST")
	},

	"lease.release": func(s *scene) {
		key := s.key("released")
		token := s.lease(&pb.LeaseRequest{Key: key}).GetToken()
		got(s.store().Release(s.ctx, &pb.ReleaseRequest{Key: key, LeaseToken: token}))
		next := s.lease(&pb.LeaseRequest{Key: key})
		holds(next.GetToken() != token, "the same lease")
	},

	"lease.renew": func(s *scene) {
		key := s.key("renewed")
		revision := s.put(key, &pb.ExecutionContext{}).GetRevision()
		lease := s.lease(&pb.LeaseRequest{Key: key, RenewVersion: revision})
		written := got(s.putUnder(key, lease))
		holds(written.GetRevision() > revision, "%v", written)
	},
}
