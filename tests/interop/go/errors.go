package main

import (
	"strings"

	"google.golang.org/grpc/codes"
	pb "relevo.io/gen/relevo/v1"
)

type expectation struct {
	Status       string
	Metadata     map[string]string
	Violations   [][2]string
	RetryAfterMs int64 `json:"retry_after_ms"`
}

// code is the status code that a name in the contract means.
func (e expectation) code() (code codes.Code) {
	must(code.UnmarshalJSON([]byte(`"` + strings.ToUpper(e.Status) + `"`)))
	return code
}

// errorChecks has one for each reason: a store that fails with it, and what has to arrive of that.
func errorChecks(addresses map[string]string) checks {
	all := checks{}
	for reason, expected := range read[map[string]expectation](addresses, "errors.json") {
		all["error."+reason] = func(s *scene) {
			key := &pb.ContextKey{Scope: "error", TenantId: "interop", Id: reason}
			_, err := s.storeOf("failing").Get(s.ctx, &pb.GetRequest{Key: key})
			failure := fails(err, expected.code(), reason)
			equal(len(failure.metadata), len(expected.Metadata))
			for name, value := range expected.Metadata {
				equal(failure.metadata[name], value)
			}
			equal(failure.violations, append([][2]string{}, expected.Violations...))
			equal(max(failure.retryAfter, 0), expected.RetryAfterMs)
		}
	}
	return all
}
