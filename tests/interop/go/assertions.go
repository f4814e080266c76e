package main

import (
	"fmt"
	"reflect"
	"slices"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// must ends a check that cannot go on.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// got is a value that must be had without an error.
func got[T any](value T, err error) T {
	must(err)
	return value
}

func holds(condition bool, format string, values ...any) {
	if !condition {
		panic(fmt.Sprintf(format, values...))
	}
}

func equal(actual, expected any) {
	one, isMessage := actual.(proto.Message)
	other, areMessages := expected.(proto.Message)
	if isMessage && areMessages {
		holds(proto.Equal(one, other), "%v, not %v", one, other)
		return
	}
	holds(reflect.DeepEqual(actual, expected), "%#v, not %#v", actual, expected)
}

// failure is a google.rpc.Status, taken apart. retryAfter is in milliseconds, -1 for none.
type failure struct {
	code       codes.Code
	reason     string
	metadata   map[string]string
	violations [][2]string
	retryAfter int64
}

// failureIn is what a google.rpc.Status says. It must have details.
func failureIn(message *spb.Status) failure {
	found := failure{
		code:       codes.Code(message.GetCode()),
		metadata:   map[string]string{},
		violations: [][2]string{},
		retryAfter: -1,
	}
	holds(len(message.GetDetails()) > 0, "no details in %v", message)
	for _, detail := range status.FromProto(message).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			equal(detail.GetDomain(), "relevo")
			found.reason = detail.GetReason()
			for name, value := range detail.GetMetadata() {
				found.metadata[name] = value
			}
		case *errdetails.BadRequest:
			for _, each := range detail.GetFieldViolations() {
				violation := [2]string{each.GetField(), each.GetDescription()}
				found.violations = append(found.violations, violation)
			}
		case *errdetails.RetryInfo:
			found.retryAfter = detail.GetRetryDelay().AsDuration().Milliseconds()
		default:
			holds(false, "a detail %v", detail)
		}
	}
	return found
}

// failureOf is how a call fails.
func failureOf(err error) failure {
	holds(err != nil, "the call was answered")
	return failureIn(status.Convert(err).Proto())
}

// fails sees that a call fails so.
func fails(err error, code codes.Code, reason string) failure {
	found := failureOf(err)
	holds(found.code == code && found.reason == reason, "%v", err)
	return found
}

// fields are the paths of the fields that are malformed, sorted.
func (f failure) fields() []string {
	paths := []string{}
	for _, violation := range f.violations {
		paths = append(paths, violation[0])
	}
	slices.Sort(paths)
	return paths
}
