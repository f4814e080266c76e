package main

import (
	"math"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	pb "relevo.io/gen/relevo/v1"
)

const (
	contextKey      = "context-key"
	contextRevision = "context-revision"
)

var kinds = []string{"asyncio", "blocking"}

// seen is what a Python service sees of a call.
type seen struct {
	Key, Revision *string
	Context       map[string]any
}

// seeWith calls a Python service with metadata.
func (s *scene) seeWith(kind string, entries ...string) (seen, error) {
	ctx := metadata.AppendToOutgoingContext(s.ctx, entries...)
	return python[seen](s, ctx, kind, "See", struct{}{})
}

// see calls a Python service with a reference.
func (s *scene) see(kind string, key *pb.ContextKey, revision int64) (seen, error) {
	text := got(keyText(key))
	return s.seeWith(kind, contextKey, text, contextRevision, strconv.FormatInt(revision, 10))
}

// refused sees that a call of a Python service ends so.
func refused(err error, code codes.Code, text string) {
	holds(err != nil, "the call was answered")
	equal(status.Code(err), code)
	equal(status.Convert(err).Message(), text)
}

var referenceChecks = checks{
	"reference.handed_on": func(s *scene) {
		layer, key := s.keyIn("agent_config", "agent"), s.key("head")
		below := map[string]any{"a": 1, "b": map[string]any{"c": 1}}
		s.put(layer, &pb.ExecutionContext{UserId: "layer", LlmConfig: section(below)})
		above := map[string]any{"b": nil, "d": "größe"}
		revision := s.put(key, &pb.ExecutionContext{
			UserId: "head", LlmConfig: section(above), Includes: []*pb.ContextKey{layer},
		}).GetRevision()
		for _, kind := range kinds {
			seen := got(s.see(kind, key, revision))
			equal(*seen.Key, got(keyText(key)))
			holds(got(strconv.ParseInt(*seen.Revision, 10, 64)) >= revision, "%v", *seen.Revision)
			equal(seen.Context["user_id"], "head")
			composed := map[string]any{"a": 1.0, "b": nil, "d": "größe"}
			equal(seen.Context["llm_config"], composed)
		}
	},

	"reference.fence": func(s *scene) {
		key := s.key("fence")
		for _, user := range []string{"a", "b", "c", "d"} {
			revision := s.put(key, &pb.ExecutionContext{UserId: user}).GetRevision()
			for _, kind := range kinds {
				equal(got(s.see(kind, key, revision)).Context["user_id"], user)
			}
		}
	},

	"reference.none": func(s *scene) {
		for _, kind := range kinds {
			for _, entries := range [][]string{{}, {contextRevision, "7"}} {
				equal(got(s.seeWith(kind, entries...)), seen{})
			}
		}
	},

	"reference.malformed": func(s *scene) {
		malformed := [][2]string{{"not a key", "1"}, {"a:b:%zz", "1"}, {"a:b:c", "-1"}}
		for _, kind := range kinds {
			for _, each := range malformed {
				_, err := s.seeWith(kind, contextKey, each[0], contextRevision, each[1])
				refused(err, codes.InvalidArgument, "the call's context reference is malformed")
			}
		}
	},

	"reference.unavailable": func(s *scene) {
		none, head := s.key("none"), s.key("head")
		includes := []*pb.ContextKey{s.key("layer")}
		revision := s.put(head, &pb.ExecutionContext{Includes: includes}).GetRevision()
		for _, kind := range kinds {
			_, err := s.see(kind, none, revision)
			refused(err, codes.FailedPrecondition, "the call's context does not exist")
			_, err = s.see(kind, head, revision)
			refused(err, codes.FailedPrecondition, "the call's context is incomplete")
			_, err = s.see(kind, none, math.MaxInt64)
			refused(err, codes.FailedPrecondition, "the call's context is newer than the store")
		}
	},
}
